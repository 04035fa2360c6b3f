"""Updates: by server-side apply with a field manager of the object's own, or by patches from here."""

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    SERVICE,
    config_map,
    definition,
    deployment,
    meta,
    service,
)
from tests.apiserver.plugin import Plugin, Refused

CRD = "kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"


def idle(namespace: str, **annotations: str) -> dict:
    """A Deployment that nobody waits for."""
    return deployment(namespace, replicas=0, skipAwait="true", **annotations)


def path_of(namespace: str) -> str:
    return f"/apis/apps/v1/namespaces/{namespace}/deployments/web"


def managers(obj: dict) -> set[tuple[str, str]]:
    return {(entry["manager"], entry["operation"]) for entry in obj["metadata"]["managedFields"]}


def with_image(obj: dict, image: str) -> dict:
    obj["spec"]["template"]["spec"]["containers"][0]["image"] = image
    return obj


def test_an_update_owns_its_fields_under_one_manager_that_stays(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = idle(namespace)
    made = plugin.create(DEPLOYMENT, obj)
    made = plugin.update(made, with_image(obj, "example.org/app:2"))
    first = {name for name, operation in managers(cluster.get(path_of(namespace))) if operation == "Apply"}
    made = plugin.update(made, with_image(obj, "example.org/app:3"))
    second = {name for name, operation in managers(cluster.get(path_of(namespace))) if operation == "Apply"}
    assert first == second
    assert len(first) == 1
    assert (
        cluster.get(path_of(namespace))["spec"]["template"]["spec"]["containers"][0]["image"]
        == "example.org/app:3"
    )


def test_a_conflict_names_the_other_manager_and_the_field(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = idle(namespace)
    made = plugin.create(DEPLOYMENT, obj)
    cluster.apply(
        path_of(namespace),
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 0, "revisionHistoryLimit": 7}},
        manager="scaler",
    )
    cluster.patch(path_of(namespace), {"spec": {"minReadySeconds": 5}}, manager="somebody")
    obj["spec"] |= {"minReadySeconds": 3}
    with pytest.raises(Refused) as refused:
        plugin.update(made, obj)
    assert "somebody" in refused.value.text
    assert "minReadySeconds" in refused.value.text
    assert cluster.get(path_of(namespace))["spec"]["minReadySeconds"] == 5


def test_a_forced_update_takes_the_field(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    obj = idle(namespace, patchForce="true")
    made = plugin.create(DEPLOYMENT, obj)
    cluster.patch(path_of(namespace), {"spec": {"minReadySeconds": 5}}, manager="somebody")
    obj["spec"] |= {"minReadySeconds": 3}
    plugin.update(made, obj)
    assert cluster.get(path_of(namespace))["spec"]["minReadySeconds"] == 3


def test_the_provider_may_force_every_update(plane: ControlPlane, cluster: Cluster, namespace: str) -> None:
    with Plugin({"kubeconfig": str(plane.kubeconfig), "enablePatchForce": True}) as plugin:
        obj = idle(namespace)
        made = plugin.create(DEPLOYMENT, obj)
        cluster.patch(path_of(namespace), {"spec": {"minReadySeconds": 5}}, manager="somebody")
        obj["spec"] |= {"minReadySeconds": 3}
        plugin.update(made, obj)
        assert cluster.get(path_of(namespace))["spec"]["minReadySeconds"] == 3


def test_the_annotation_chooses_the_field_manager(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    obj = idle(namespace, patchFieldManager="captain")
    made = plugin.create(DEPLOYMENT, obj)
    plugin.update(made, with_image(obj, "example.org/app:2"))
    assert ("captain", "Apply") in managers(cluster.get(path_of(namespace)))


def test_a_changed_field_manager_leaves_nothing_to_the_old_one(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = idle(namespace, patchFieldManager="captain")
    made = plugin.create(DEPLOYMENT, obj)
    made = plugin.update(made, with_image(obj, "example.org/app:2"))
    obj = with_image(idle(namespace, patchFieldManager="admiral", patchForce="true"), "example.org/app:3")
    plugin.update(made, obj)
    names = managers(cluster.get(path_of(namespace)))
    assert ("admiral", "Apply") in names
    assert ("captain", "Apply") not in names


def test_a_refused_update_names_the_field_and_changes_nothing(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    spec = {
        "accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "2Gi"}},
        "storageClassName": "none",
    }
    obj = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta(namespace, "store", skipAwait="true"),
        "spec": spec,
    }
    made = plugin.create(CLAIM, obj)
    spec["volumeMode"] = "Block"
    assert not plugin.diff(made, obj).replaces
    with pytest.raises(Refused, match="spec") as refused:
        plugin.update(made, obj)
    assert "immutable" in refused.value.text
    assert (
        cluster.get(f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/store")["spec"]["volumeMode"]
        == "Filesystem"
    )


def test_an_invalid_value_names_its_field(plugin: Plugin, namespace: str) -> None:
    with pytest.raises(Refused, match=r"spec\.ports\[0\]\.port"):
        plugin.create(SERVICE, service(namespace, ports=[{"port": 0}]))


def test_an_ignored_field_stays_with_its_owner(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    obj = idle(namespace)
    del obj["spec"]["replicas"]
    made = plugin.create(DEPLOYMENT, {**obj, "spec": {**obj["spec"], "replicas": 0}})
    cluster.apply(
        path_of(namespace),
        {"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 2}},
        manager="autoscaler",
    )
    new = with_image({**obj, "spec": {**obj["spec"], "replicas": 0}}, "example.org/app:2")
    plugin.update(made, new, ignore=("spec.replicas",))
    live = cluster.get(path_of(namespace))
    assert live["spec"]["replicas"] == 2
    assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/app:2"


def test_an_object_that_somebody_deleted_is_not_silently_made_anew(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    made = plugin.create(CONFIG_MAP, config_map(namespace))
    cluster.delete(f"/api/v1/namespaces/{namespace}/configmaps/settings")
    obj = config_map(namespace)
    obj["metadata"]["labels"] = {"a": "b"}
    with pytest.raises(Refused):
        plugin.update(made, obj)
    assert cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/settings") is None


def test_a_definition_is_updated_with_its_objects_in_place(plugin: Plugin, cluster: Cluster) -> None:
    crd = definition("Boat", group="update.example.org")
    made = plugin.create(CRD, crd)
    crd["spec"]["names"]["shortNames"] = ["bt"]
    plugin.update(made, crd)
    live = cluster.get("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/boats.update.example.org")
    assert live["spec"]["names"]["shortNames"] == ["bt"]
    assert live["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"][
        "x-kubernetes-preserve-unknown-fields"
    ]
    assert plugin.diff(made, definition("Boat", group="update.example.org")).changes == 1


def test_without_server_side_apply_what_is_left_out_is_removed_too(
    plane: ControlPlane, cluster: Cluster, namespace: str
) -> None:
    with Plugin({"kubeconfig": str(plane.kubeconfig), "enableServerSideApply": False}) as plugin:
        obj = idle(namespace)
        obj["metadata"]["labels"] = {"a": "1", "b": "2"}
        made = plugin.create(DEPLOYMENT, obj)
        obj = with_image(obj, "example.org/app:2")
        obj["metadata"]["labels"] = {"a": "1"}
        plugin.update(made, obj)
        live = cluster.get(path_of(namespace))
        assert "b" not in live["metadata"]["labels"]
        assert live["spec"]["template"]["spec"]["containers"][0]["image"] == "example.org/app:2"
        assert not [entry for entry in managers(live) if entry[1] == "Apply"]


def test_an_upsert_takes_what_exists(plane: ControlPlane, cluster: Cluster, namespace: str) -> None:
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace, other="x"))
    with Plugin({"kubeconfig": str(plane.kubeconfig), "upsertExistingObjects": True}) as plugin:
        made = plugin.create(CONFIG_MAP, config_map(namespace))
        assert made.state["data"] == {"color": "blue", "other": "x"}


def test_a_patch_changes_its_fields_of_somebody_s_object_and_lets_go_of_them(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace))
    patch = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(namespace, "settings"),
        "data": {"mine": "1"},
    }
    made = plugin.create("kubernetes:core/v1:ConfigMapPatch", patch)
    assert cluster.get(path)["data"] == {"color": "blue", "mine": "1"}
    patch["data"] = {"mine": "2"}
    assert not plugin.diff(made, patch).replaces
    made = plugin.update(made, patch)
    assert cluster.get(path)["data"] == {"color": "blue", "mine": "2"}
    plugin.delete(made)
    assert cluster.get(path)["data"] == {"color": "blue"}
