"""Create, change and delete of plain objects."""

import base64

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.manifests import CONFIG_MAP, SECRET, config_map
from tests.apiserver.plugin import UNKNOWN, Plugin, Refused, is_secret, revealed, secret


def test_an_object_is_created_as_it_was_given_and_known_by_its_namespace_and_name(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    made = plugin.create(CONFIG_MAP, config_map(namespace))
    assert made.id == f"{namespace}/settings"
    assert made.state["data"] == {"color": "blue"}
    assert made.state["metadata"]["uid"]
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/settings")["data"] == {"color": "blue"}


def test_creating_what_exists_is_an_error(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace))
    with pytest.raises(Refused, match=r"already exists|exists already") as refused:
        plugin.create(CONFIG_MAP, config_map(namespace))
    assert refused.value.state is None
    assert "settings" in refused.value.message


def test_an_update_removes_what_the_program_no_longer_gives(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    token = "kubernetes:core/v1:ServiceAccount"
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "robot", "namespace": namespace, "labels": {"a": "1", "b": "2"}},
    }
    made = plugin.create(token, account)
    account["metadata"]["labels"] = {"a": "1", "c": "3"}
    assert plugin.diff(made, account).changes == 2
    made = plugin.update(made, account)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/robot"
    assert cluster.get(path)["metadata"]["labels"] == {"a": "1", "c": "3"}
    account["metadata"]["labels"] = {"c": "4"}
    plugin.update(made, account)
    assert cluster.get(path)["metadata"]["labels"] == {"c": "4"}


def test_a_deleted_object_is_gone_and_deleting_it_again_is_no_error(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    made = plugin.create(CONFIG_MAP, config_map(namespace))
    plugin.delete(made)
    assert cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/settings") is None
    plugin.delete(made)


def test_the_same_inputs_are_no_change(plugin: Plugin, namespace: str) -> None:
    made = plugin.create(CONFIG_MAP, config_map(namespace))
    assert plugin.diff(made, config_map(namespace)).changes == 1


def test_secrets_are_secret_in_the_state_and_plain_in_the_cluster(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    given = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "login", "namespace": namespace},
        "stringData": secret({"password": "hunter2hunter2"}),
    }
    made = plugin.create(SECRET, given)
    assert is_secret(made.state["data"])
    assert is_secret(made.inputs["stringData"])
    assert base64.b64decode(revealed(made.state)["data"]["password"]) == b"hunter2hunter2"
    stored = cluster.get(f"/api/v1/namespaces/{namespace}/secrets/login")["data"]["password"]
    assert base64.b64decode(stored) == b"hunter2hunter2"
    assert plugin.diff(made, given).changes == 1
    assert "hunter2hunter2" not in plugin.logged()


def test_a_value_that_is_not_known_yet_stays_unknown_in_a_preview(plugin: Plugin, namespace: str) -> None:
    previewed = plugin.preview_create(CONFIG_MAP, config_map(namespace, color=UNKNOWN))
    assert previewed["data"]["color"] == UNKNOWN
