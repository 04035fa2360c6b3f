"""Read: import of what exists, and refresh, which finds what others changed."""

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.manifests import CONFIG_MAP, DEPLOYMENT, POD, SECRET, config_map, deployment, meta, pod
from tests.apiserver.plugin import Plugin, Refused, is_secret, revealed, secret

NONE, SOME = 1, 2


def test_an_import_takes_all_that_could_have_been_given(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace))
    made = plugin.import_(CONFIG_MAP, f"{namespace}/settings")
    assert made is not None
    assert made.inputs["data"] == {"color": "blue"}
    assert made.inputs["metadata"]["name"] == "settings"
    assert not {"uid", "resourceVersion", "managedFields", "creationTimestamp"} & set(made.inputs["metadata"])
    assert "status" not in made.inputs
    assert made.state["metadata"]["uid"]
    assert plugin.diff(made, config_map(namespace)).changes == NONE


def test_an_imported_object_can_be_changed_and_deleted(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/robot"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(namespace, "robot")}
    cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", account)
    made = plugin.import_("kubernetes:core/v1:ServiceAccount", f"{namespace}/robot")
    assert made is not None
    account["metadata"]["labels"] = {"a": "b"}
    made = plugin.update(made, account)
    assert cluster.get(path)["metadata"]["labels"] == {"a": "b"}
    plugin.delete(made)
    assert cluster.find(path) is None


def test_an_imported_secret_is_secret(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    body = {"metadata": {"name": "login"}, "data": {"password": "aHVudGVy"}}
    body["metadata"]["annotations"] = {
        "kubectl.kubernetes.io/last-applied-configuration": '{"data":"aHVudGVy"}'
    }
    cluster.create(f"/api/v1/namespaces/{namespace}/secrets", body)
    made = plugin.import_(SECRET, f"{namespace}/login")
    assert made is not None
    assert is_secret(made.inputs["data"])
    assert is_secret(made.state["data"])


def test_what_does_not_exist_cannot_be_imported(plugin: Plugin, namespace: str) -> None:
    assert plugin.import_(CONFIG_MAP, f"{namespace}/nothing") is None
    assert plugin.import_("kubernetes:nowhere.example.org/v1:Nothing", f"{namespace}/nothing") is None


def test_a_refresh_without_drift_changes_no_input(plugin: Plugin, namespace: str) -> None:
    obj = deployment(namespace, replicas=0)
    obj["spec"]["template"]["spec"]["containers"][0]["resources"] = {"requests": {"cpu": "1000m"}}
    made = plugin.create(DEPLOYMENT, obj)
    refreshed = plugin.read(made)
    assert refreshed is not None
    assert refreshed.inputs == made.inputs
    assert plugin.diff(refreshed, obj).changes == NONE


def test_a_refresh_finds_what_others_changed_and_the_next_update_puts_it_right(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = deployment(namespace, replicas=0)
    made = plugin.create(DEPLOYMENT, obj)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    image = {"name": "app", "image": "example.org/other:1"}
    cluster.patch(path, {"spec": {"template": {"spec": {"containers": [image]}}}})
    cluster.eventually("the rollout", lambda: cluster.get(path)["status"]["observedGeneration"] == 2)
    refreshed = plugin.read(made)
    assert refreshed is not None
    assert refreshed.inputs["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/other:1"
    found = plugin.diff(refreshed, obj)
    assert list(found.detailedDiff) == ["spec.template.spec.containers[0].image"]
    obj["metadata"]["annotations"] = {"pulumi.com/patchForce": "true"}
    plugin.update(refreshed, obj)
    assert cluster.get(path)["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/app:1"


def test_a_refresh_finds_what_others_removed(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    made = plugin.create(CONFIG_MAP, config_map(namespace, a="1", b="2"))
    cluster.patch(f"/api/v1/namespaces/{namespace}/configmaps/settings", {"data": {"b": None}})
    refreshed = plugin.read(made)
    assert refreshed is not None
    assert refreshed.inputs["data"] == {"a": "1"}
    assert list(plugin.diff(refreshed, config_map(namespace, a="1", b="2")).detailedDiff) == ["data.b"]


def test_what_others_added_beside_the_program_s_fields_is_no_drift(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    made = plugin.create(CONFIG_MAP, config_map(namespace))
    cluster.patch(f"/api/v1/namespaces/{namespace}/configmaps/settings", {"metadata": {"labels": {"x": "y"}}})
    refreshed = plugin.read(made)
    assert refreshed is not None
    assert plugin.diff(refreshed, config_map(namespace)).changes == NONE


def test_a_changed_secret_is_drift_and_stays_secret(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    given = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta(namespace, "login"),
        "stringData": secret({"password": "before"}),
    }
    made = plugin.create(SECRET, given)
    cluster.patch(f"/api/v1/namespaces/{namespace}/secrets/login", {"data": {"password": "YWZ0ZXI="}})
    refreshed = plugin.read(made)
    assert refreshed is not None
    assert is_secret(refreshed.inputs["stringData"])
    assert revealed(refreshed.inputs)["stringData"] == {"password": "after"}
    assert plugin.diff(refreshed, given).changes == SOME


def test_a_refresh_finds_that_the_object_is_gone(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    made = plugin.create(CONFIG_MAP, config_map(namespace))
    cluster.delete(f"/api/v1/namespaces/{namespace}/configmaps/settings")
    assert plugin.read(made) is None


def test_a_refresh_says_that_the_object_is_not_ready_any_more_and_keeps_it(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    creating = plugin.meanwhile(plugin.create, POD, pod(namespace))
    cluster.first_pod(namespace, "app=single")
    cluster.run_pod(namespace, "single")
    made = creating.result()
    condition = {
        "type": "Ready",
        "status": "False",
        "reason": "ContainersNotReady",
        "message": "app fell over",
    }
    cluster.status(f"/api/v1/namespaces/{namespace}/pods/single", conditions=[condition])
    with pytest.raises(Refused) as refused:
        plugin.read(made)
    assert refused.value.state is not None
    assert refused.value.inputs is not None
    assert refused.value.inputs["spec"]["containers"][0]["image"] == "example.org/app:1"
