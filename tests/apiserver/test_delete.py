"""Deletes wait until the object is gone, and name what holds it."""

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.manifests import CONFIG_MAP, DEPLOYMENT, config_map, definition, deployment
from tests.apiserver.plugin import Plugin, Refused

FINALIZER = "example.org/keep"
CRD = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"


def kept(namespace: str) -> dict:
    obj = config_map(namespace)
    obj["metadata"]["finalizers"] = [FINALIZER]
    return obj


def path_of(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps/settings"


def test_a_delete_waits_for_the_finalizer(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    made = plugin.create(CONFIG_MAP, kept(namespace))
    deleting = plugin.meanwhile(plugin.delete, made)
    cluster.eventually(
        "the deletion's begin", lambda: cluster.get(path_of(namespace))["metadata"].get("deletionTimestamp")
    )
    assert not deleting.done
    cluster.patch(path_of(namespace), {"metadata": {"finalizers": None}})
    deleting.result()
    assert cluster.find(path_of(namespace)) is None


def test_a_delete_that_takes_too_long_names_the_finalizer_and_keeps_the_object_in_the_state(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    made = plugin.create(CONFIG_MAP, kept(namespace))
    try:
        with pytest.raises(Refused, match=FINALIZER) as refused:
            plugin.delete(made, timeout=1)
        assert refused.value.state is not None
    finally:
        cluster.patch(path_of(namespace), {"metadata": {"finalizers": None}})


def test_an_object_goes_with_what_it_owns(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    made = plugin.create(DEPLOYMENT, deployment(namespace, replicas=0))
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    cluster.eventually("the ReplicaSet", lambda: cluster.get(sets)["items"])
    plugin.delete(made)
    assert not cluster.get(sets)["items"]


def test_orphans_are_left_where_that_is_asked_for(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    made = plugin.create(DEPLOYMENT, deployment(namespace, replicas=0, deletionPropagationPolicy="orphan"))
    sets = f"/apis/apps/v1/namespaces/{namespace}/replicasets"
    cluster.eventually("the ReplicaSet", lambda: cluster.get(sets)["items"])
    plugin.delete(made)
    owners = [entry["metadata"].get("ownerReferences") for entry in cluster.get(sets)["items"]]
    assert owners == [None]


def test_skip_await_does_not_wait_for_a_deployment_s_end(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = deployment(namespace, replicas=0, skipAwait="true")
    obj["metadata"]["finalizers"] = [FINALIZER]
    made = plugin.create(DEPLOYMENT, obj)
    plugin.delete(made, timeout=5)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    assert cluster.get(path)["metadata"]["deletionTimestamp"]
    cluster.patch(path, {"metadata": {"finalizers": None}})


def test_an_object_whose_kind_is_gone_counts_as_deleted(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    crd = plugin.create(CRD, definition("Raft", group="delete.example.org"))
    raft = {
        "apiVersion": "delete.example.org/v1",
        "kind": "Raft",
        "metadata": {"name": "a", "namespace": namespace},
    }
    made = plugin.create("kubernetes:delete.example.org/v1:Raft", raft)
    plugin.delete(crd)
    plugin.delete(made)
