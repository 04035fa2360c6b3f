"""What counts as a change, what can change in place and what makes a new object."""

from typing import Any

import pytest
from pulumi.runtime.proto import provider_pb2

from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    POD,
    SECRET,
    config_map,
    deployment,
    job,
    pod,
)
from tests.apiserver.plugin import UNKNOWN, Made, Plugin, urn_of

NONE, SOME = 1, 2
_Kind = provider_pb2.PropertyDiff
IN_PLACE, REPLACE = (
    (_Kind.ADD, _Kind.UPDATE, _Kind.DELETE),
    (_Kind.ADD_REPLACE, _Kind.UPDATE_REPLACE, _Kind.DELETE_REPLACE),
)
_LABELS = {"matchLabels": {"app": "a"}}
_ROLE = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "a"}


def stored(plugin: Plugin, token: str, obj: dict) -> Made:
    """A resource as the state holds it, without a cluster's help: the live object is the inputs."""
    urn = urn_of(token, "thing")
    inputs = plugin.check(urn, obj)
    return Made(urn, f"default/{obj['metadata']['name']}", inputs, {**inputs, "__inputs": inputs})


def changed(obj: dict, path: str, value: Any) -> dict:
    """A copy with another value at a dotted path; a number is an index."""
    head, _, rest = path.partition(".")
    key: Any = int(head) if head.isdigit() else head
    copy = list(obj) if isinstance(obj, list) else dict(obj)
    inner = copy[key] if isinstance(copy, list) else copy.get(key, {})
    copy[key] = changed(inner, rest, value) if rest else value
    return copy


def thing(token: str, **body: Any) -> dict:
    _, group_version, kind = token.split(":")
    api_version = group_version.removeprefix("core/")
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "a", "namespace": "default"},
        **body,
    }


DAEMON_SET = "kubernetes:apps/v1:DaemonSet"
STATEFUL_SET = "kubernetes:apps/v1:StatefulSet"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
VOLUME = "kubernetes:core/v1:PersistentVolume"
QUOTA = "kubernetes:core/v1:ResourceQuota"
SERVICE = "kubernetes:core/v1:Service"
BINDING = "kubernetes:rbac.authorization.k8s.io/v1:RoleBinding"
CLUSTER_BINDING = "kubernetes:rbac.authorization.k8s.io/v1:ClusterRoleBinding"
CLASS = "kubernetes:storage.k8s.io/v1:StorageClass"

_SET = {"selector": _LABELS, "serviceName": "a", "podManagementPolicy": "Parallel", "revisionHistoryLimit": 3}
_CLAIM = {
    "accessModes": ["ReadWriteOnce"],
    "storageClassName": "a",
    "volumeName": "v",
    "resources": {"requests": {"storage": "1Gi"}},
}


@pytest.mark.parametrize(
    ("token", "body", "path", "value"),
    [
        (DEPLOYMENT, {"spec": {"selector": _LABELS}}, "spec.selector.matchLabels.app", "b"),
        (DAEMON_SET, {"spec": {"selector": _LABELS}}, "spec.selector.matchLabels.app", "b"),
        (STATEFUL_SET, {"spec": _SET}, "spec.selector.matchLabels.app", "b"),
        (STATEFUL_SET, {"spec": _SET}, "spec.serviceName", "b"),
        (STATEFUL_SET, {"spec": _SET}, "spec.podManagementPolicy", "OrderedReady"),
        (STATEFUL_SET, {"spec": _SET}, "spec.revisionHistoryLimit", 4),
        (STATEFUL_SET, {"spec": _SET}, "spec.volumeClaimTemplates", [{"metadata": {"name": "v"}}]),
        (JOB, {"spec": {"completions": 1}}, "spec.completions", 2),
        (JOB, {"spec": {"parallelism": 1}}, "spec.parallelism", 2),
        (
            JOB,
            {"spec": {"template": {"spec": {"restartPolicy": "Never"}}}},
            "spec.template.spec.restartPolicy",
            "OnFailure",
        ),
        (CLAIM, {"spec": _CLAIM}, "spec.accessModes.0", "ReadWriteMany"),
        (CLAIM, {"spec": _CLAIM}, "spec.storageClassName", "b"),
        (CLAIM, {"spec": _CLAIM}, "spec.volumeName", "w"),
        (VOLUME, {"spec": {"hostPath": {"path": "/a"}}}, "spec.hostPath.path", "/b"),
        (VOLUME, {"spec": {"nfs": {"path": "/a"}}}, "spec.nfs.path", "/b"),
        (VOLUME, {"spec": {"csi": {"driver": "a"}}}, "spec.csi.driver", "b"),
        (QUOTA, {"spec": {"scopes": ["BestEffort"]}}, "spec.scopes.0", "NotBestEffort"),
        (SERVICE, {"spec": {"clusterIP": "None"}}, "spec.clusterIP", "10.0.0.9"),
        (BINDING, {"roleRef": _ROLE}, "roleRef.name", "b"),
        (CLUSTER_BINDING, {"roleRef": _ROLE}, "roleRef.name", "b"),
        (CLASS, {"provisioner": "a"}, "provisioner", "b"),
        (CLASS, {"provisioner": "a", "parameters": {"p": "1"}}, "parameters.p", "2"),
        (POD, pod("default"), "spec.nodeName", "n"),
        (POD, pod("default"), "spec.containers.0.image", "example.org/app:2"),
        (POD, pod("default"), "spec.containers.0.env", [{"name": "A", "value": "b"}]),
        (SECRET, {"type": "Opaque"}, "type", "example.org/own"),
        (SECRET, {"data": {"a": "YQ=="}}, "data.a", "Yg=="),
        (SECRET, {"stringData": {"a": "a"}}, "stringData.a", "b"),
        (CONFIG_MAP, {"data": {"a": "a"}}, "data.a", "b"),
        (CONFIG_MAP, {"binaryData": {"a": "YQ=="}}, "binaryData.a", "Yg=="),
        (CONFIG_MAP, {"data": {"a": "a"}}, "metadata.name", "b"),
        (CONFIG_MAP, {"data": {"a": "a"}}, "metadata.namespace", "elsewhere"),
    ],
)
def test_an_immutable_field_makes_a_new_object(
    plugin: Plugin, token: str, body: dict, path: str, value: Any
) -> None:
    obj = body if "kind" in body else thing(token, **body)
    found = plugin.diff(stored(plugin, token, obj), changed(obj, path, value))
    assert found.changes == SOME
    assert found.replaces
    assert {entry.kind for entry in found.detailedDiff.values()} & set(REPLACE)


@pytest.mark.parametrize(
    ("token", "obj", "path", "value"),
    [
        (DEPLOYMENT, deployment("default"), "spec.replicas", 3),
        (DEPLOYMENT, deployment("default"), "spec.template.spec.containers.0.image", "example.org/app:2"),
        (JOB, job("default"), "metadata.labels", {"a": "b"}),
        (CLAIM, thing(CLAIM, spec=_CLAIM), "spec.resources.requests.storage", "2Gi"),
        (SERVICE, thing(SERVICE, spec={"ports": [{"port": 80}]}), "spec.ports.0.port", 81),
        (CONFIG_MAP, config_map("default"), "metadata.labels", {"a": "b"}),
    ],
)
def test_a_mutable_field_changes_in_place(
    plugin: Plugin, token: str, obj: dict, path: str, value: Any
) -> None:
    found = plugin.diff(stored(plugin, token, obj), changed(obj, path, value))
    assert found.changes == SOME
    assert not found.replaces
    assert {entry.kind for entry in found.detailedDiff.values()} <= set(IN_PLACE)


@pytest.mark.parametrize(
    ("token", "argument", "body"),
    [
        (CONFIG_MAP, "enableConfigMapMutable", {"data": {"a": "a"}}),
        (SECRET, "enableSecretMutable", {"data": {"a": "YQ=="}}),
    ],
)
def test_a_switch_makes_data_mutable_unless_the_object_itself_is_immutable(
    plane: ControlPlane, token: str, argument: str, body: dict
) -> None:
    with Plugin({"kubeconfig": str(plane.kubeconfig), argument: True}) as plugin:
        obj = thing(token, **body)
        assert not plugin.diff(stored(plugin, token, obj), changed(obj, "data.a", "YmI=")).replaces
        obj = thing(token, **body, immutable=True)
        assert plugin.diff(stored(plugin, token, obj), changed(obj, "data.a", "YmI=")).replaces


def test_a_new_object_of_the_same_explicit_name_needs_the_old_one_gone_first(plugin: Plugin) -> None:
    obj = config_map("default")
    made = stored(plugin, CONFIG_MAP, obj)
    assert plugin.diff(made, changed(obj, "data.color", "red")).deleteBeforeReplace
    assert not plugin.diff(made, changed(obj, "metadata.name", "other")).deleteBeforeReplace
    assert not plugin.diff(made, changed(obj, "metadata.namespace", "other")).deleteBeforeReplace


def test_an_auto_named_object_is_made_anew_beside_the_old_one(plugin: Plugin) -> None:
    urn = urn_of(CONFIG_MAP, "thing")
    inputs = plugin.check(
        urn, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "a"}}, randomSeed=b"x" * 32
    )
    made = Made(urn, f"default/{inputs['metadata']['name']}", inputs, {**inputs, "__inputs": inputs})
    found = plugin.diff(made, {"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "b"}})
    assert found.replaces
    assert not found.deleteBeforeReplace


def test_the_path_of_each_change_is_told(plugin: Plugin) -> None:
    obj = deployment("default")
    new = changed(obj, "spec.template.spec.containers.0.image", "example.org/app:2")
    new = changed(new, "metadata.annotations", {"example.org/owner": "me"})
    found = plugin.diff(stored(plugin, DEPLOYMENT, obj), new)
    assert "spec.template.spec.containers[0].image" in found.detailedDiff
    assert any(path.startswith("metadata.annotations") for path in found.detailedDiff)


def test_a_dotted_key_is_quoted_in_a_path(plugin: Plugin) -> None:
    obj = changed(config_map("default"), "metadata.labels", {"example.org/owner": "me"})
    found = plugin.diff(
        stored(plugin, CONFIG_MAP, obj),
        {**obj, "metadata": {**obj["metadata"], "labels": {"example.org/owner": "you"}}},
    )
    assert list(found.detailedDiff) == ['metadata.labels["example.org/owner"]']


def test_a_value_that_is_not_known_yet_is_a_change(plugin: Plugin) -> None:
    obj = deployment("default")
    found = plugin.diff(stored(plugin, DEPLOYMENT, obj), changed(obj, "spec.replicas", UNKNOWN))
    assert list(found.detailedDiff) == ["spec.replicas"]


def test_the_server_s_own_spelling_and_defaults_are_no_change(plugin: Plugin, namespace: str) -> None:
    obj = deployment(namespace, replicas=0, skipAwait="true")
    obj["spec"]["template"]["spec"]["containers"][0]["resources"] = {
        "requests": {"cpu": "1000m", "memory": "1024Mi"},
        "limits": {"cpu": 1, "memory": 1073741824},
    }
    made = plugin.create(DEPLOYMENT, obj)
    assert plugin.diff(made, obj).changes == NONE
    refreshed = plugin.read(made)
    assert refreshed is not None
    assert plugin.diff(refreshed, obj).changes == NONE


def test_an_ignored_path_is_no_change(plugin: Plugin) -> None:
    obj = deployment("default")
    made = stored(plugin, DEPLOYMENT, obj)
    assert plugin.diff(made, changed(obj, "spec.replicas", 5), ignore=("spec.replicas",)).changes == NONE
