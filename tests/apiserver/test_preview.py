"""Previews ask the server where they can, and do without it where they cannot."""

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.manifests import CONFIG_MAP, DEPLOYMENT, SERVICE, config_map, deployment, service
from tests.apiserver.plugin import UNKNOWN, Plugin, Refused, urn_of

NOWHERE = """
apiVersion: v1
kind: Config
current-context: a
contexts: [{name: a, context: {cluster: a, user: a, namespace: harbour}}]
clusters: [{name: a, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: a, user: {}}]
"""


def test_a_preview_shows_the_server_s_defaults_and_creates_nothing(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    previewed = plugin.preview_create(DEPLOYMENT, deployment(namespace))
    assert previewed["spec"]["strategy"]["type"] == "RollingUpdate"
    assert "status" not in previewed
    assert cluster.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/web") is None


def test_a_preview_finds_what_the_server_would_refuse(plugin: Plugin, namespace: str) -> None:
    with pytest.raises(Refused, match=r"spec\.ports\[0\]\.port"):
        plugin.preview_create(SERVICE, service(namespace, ports=[{"port": 70000}]))


def test_a_preview_does_without_a_namespace_that_is_to_be_made(plugin: Plugin) -> None:
    assert plugin.preview_create(CONFIG_MAP, config_map("to-be-made"))["data"] == {"color": "blue"}


def test_a_preview_of_an_object_to_be_replaced_by_its_like(plugin: Plugin, namespace: str) -> None:
    plugin.create(CONFIG_MAP, config_map(namespace))
    assert plugin.preview_create(CONFIG_MAP, config_map(namespace, color="red"))["data"] == {"color": "red"}


def test_a_preview_of_a_replacement_is_not_a_change_in_place_where_objects_are_taken_over(
    plane: ControlPlane, cluster: Cluster, namespace: str
) -> None:
    """The engine asks for a create while the old object is there; in place the server would refuse it."""
    fixed = config_map(namespace) | {"immutable": True}
    with Plugin({"kubeconfig": str(plane.kubeconfig), "upsertExistingObjects": True}) as plugin:
        plugin.create(CONFIG_MAP, fixed)
        wanted = fixed | {"data": {"color": "red"}}
        assert plugin.preview_create(CONFIG_MAP, wanted)["data"] == {"color": "red"}
    path = f"/api/v1/namespaces/{namespace}/configmaps/{fixed['metadata']['name']}"
    assert cluster.get(path)["data"] == {"color": "blue"}


def test_a_preview_of_an_update_shows_its_result_and_changes_nothing(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = deployment(namespace, replicas=0)
    made = plugin.create(DEPLOYMENT, obj)
    obj["spec"]["replicas"] = 2
    assert plugin.update(made, obj, preview=True).state["spec"]["replicas"] == 2
    assert cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")["spec"]["replicas"] == 0


def test_a_preview_of_an_update_finds_a_conflict(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    obj = deployment(namespace, replicas=0)
    made = plugin.create(DEPLOYMENT, obj)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.patch(path, {"spec": {"minReadySeconds": 5}}, manager="somebody")
    obj["spec"] |= {"minReadySeconds": 3}
    with pytest.raises(Refused, match="somebody"):
        plugin.update(made, obj, preview=True)


def test_a_preview_of_an_update_with_unknown_values_keeps_them(plugin: Plugin, namespace: str) -> None:
    obj = deployment(namespace, replicas=0)
    made = plugin.create(DEPLOYMENT, obj)
    obj["spec"]["replicas"] = UNKNOWN
    assert plugin.update(made, obj, preview=True).state["spec"]["replicas"] == UNKNOWN


def test_without_a_cluster_a_preview_shows_the_inputs() -> None:
    with Plugin({"kubeconfig": NOWHERE}) as plugin:
        assert plugin.preview_create(CONFIG_MAP, config_map("default"))["data"] == {"color": "blue"}


@pytest.mark.parametrize(
    ("token", "namespace"),
    [
        (CONFIG_MAP, "harbour"),
        ("kubernetes:core/v1:Namespace", None),
        ("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", None),
        ("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", None),
        ("kubernetes:trial.example.org/v1:Anything", "harbour"),
    ],
)
def test_without_a_cluster_the_scope_of_the_common_kinds_is_known(token: str, namespace: str | None) -> None:
    with Plugin({"kubeconfig": NOWHERE}) as plugin:
        checked = plugin.check(urn_of(token, "a"), {"metadata": {"name": "a"}})
        assert checked["metadata"].get("namespace") == namespace


def test_without_a_cluster_a_create_says_so() -> None:
    with Plugin({"kubeconfig": NOWHERE}) as plugin, pytest.raises(Refused, match="unreachable"):
        plugin.create(CONFIG_MAP, config_map("default"))
