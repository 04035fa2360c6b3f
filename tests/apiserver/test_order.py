"""A create waits a little for what is just being made: the namespace, the definition of its kind."""

import secrets

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.manifests import CONFIG_MAP, POD, config_map, definition, pod
from tests.apiserver.plugin import Plugin, Refused

CRD = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
NAMESPACE = "kubernetes:core/v1:Namespace"


def test_an_object_may_come_before_its_namespace(plugin: Plugin, cluster: Cluster) -> None:
    name = f"late-{secrets.token_hex(3)}"
    creating = plugin.meanwhile(plugin.create, CONFIG_MAP, config_map(name))
    cluster.eventually("the wait", lambda: "namespace" in plugin.logged())
    assert not creating.done
    plugin.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    assert creating.result().id == f"{name}/settings"


def test_a_pod_may_come_before_the_service_account_of_its_namespace(plugin: Plugin, cluster: Cluster) -> None:
    name = f"fresh-{secrets.token_hex(3)}"
    plugin.create(NAMESPACE, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    assert plugin.create(POD, pod(name, skipAwait="true")).id


def test_an_object_may_come_before_its_definition(plugin: Plugin, namespace: str) -> None:
    ship = {
        "apiVersion": "order.example.org/v1",
        "kind": "Ship",
        "metadata": {"name": "a", "namespace": namespace},
        "spec": {"sails": 3},
    }
    creating = plugin.meanwhile(plugin.create, "kubernetes:order.example.org/v1:Ship", ship)
    plugin.create(CRD, definition("Ship", group="order.example.org"))
    assert creating.result().state["spec"] == {"sails": 3}


def test_a_definition_may_be_waited_for_until_it_is_established(plugin: Plugin) -> None:
    crd = definition("Tug", group="order.example.org")
    crd["metadata"]["annotations"] = {"pulumi.com/waitFor": "condition=Established"}
    made = plugin.create(CRD, crd)
    assert {"Established"} <= {
        entry["type"] for entry in made.state["status"]["conditions"] if entry["status"] == "True"
    }


def test_a_cluster_wide_custom_object_may_carry_a_namespace_by_mistake(plugin: Plugin) -> None:
    crd = definition("Sea", scope="Cluster", group="order.example.org")
    plugin.create(CRD, crd)
    sea = {
        "apiVersion": "order.example.org/v1",
        "kind": "Sea",
        "metadata": {"name": "a", "namespace": "default"},
    }
    assert plugin.create("kubernetes:order.example.org/v1:Sea", sea).id == "a"


def test_a_kind_that_never_comes_is_named_in_the_preview_s_place_by_the_create(
    plugin: Plugin, namespace: str
) -> None:
    ghost = {
        "apiVersion": "ghost.example.org/v1",
        "kind": "Ghost",
        "metadata": {"name": "a", "namespace": namespace},
    }
    assert plugin.preview_create("kubernetes:ghost.example.org/v1:Ghost", ghost)["metadata"]["name"] == "a"
    with pytest.raises(Refused, match="Ghost"):
        plugin.create("kubernetes:ghost.example.org/v1:Ghost", ghost, timeout=1)
