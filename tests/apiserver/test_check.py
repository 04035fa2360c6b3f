"""What the program may leave out: names, namespaces, kinds; and what is refused at once."""

import json
import re

import pytest
from pulumi.runtime.proto import provider_pb2

from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.manifests import CONFIG_MAP, SECRET, config_map, definition
from tests.apiserver.plugin import UNKNOWN, Plugin, Refused, is_secret, secret, urn_of

_Autonaming = provider_pb2.CheckRequest.AutonamingOptions
URN = urn_of(CONFIG_MAP, "settings")
AUTONAMED = "pulumi.com/autonamed"


def test_an_object_without_a_name_is_named_after_its_resource_with_a_random_end(plugin: Plugin) -> None:
    names = {
        plugin.check(URN, {"data": {}}, randomSeed=bytes([seed] * 32))["metadata"]["name"] for seed in (1, 2)
    }
    assert len(names) == 2
    assert all(re.fullmatch(r"settings-[0-9a-f]{8}", name) for name in names)


def test_the_same_seed_gives_the_same_name(plugin: Plugin) -> None:
    first, second = (plugin.check(URN, {"data": {}}, randomSeed=b"x" * 32)["metadata"] for _ in range(2))
    assert first["name"] == second["name"]


def test_an_auto_named_object_keeps_its_name_when_it_changes(plugin: Plugin) -> None:
    old = plugin.check(URN, {"data": {}}, randomSeed=b"x" * 32)
    assert old["metadata"]["annotations"][AUTONAMED] == "true"
    new = plugin.check(URN, {"data": {"a": "b"}}, old, randomSeed=b"y" * 32)
    assert new["metadata"] == old["metadata"]


@pytest.mark.parametrize("mode", [_Autonaming.PROPOSE, _Autonaming.ENFORCE])
def test_the_engine_may_choose_the_name(plugin: Plugin, mode: int) -> None:
    options = _Autonaming(proposed_name="settings-of-the-stack", mode=mode)
    assert plugin.check(URN, {"data": {}}, autonaming=options)["metadata"]["name"] == "settings-of-the-stack"


def test_a_missing_name_is_refused_where_auto_naming_is_disabled(plugin: Plugin) -> None:
    with pytest.raises(Refused, match=r"metadata\.name"):
        plugin.check(URN, {"data": {}}, autonaming=_Autonaming(mode=_Autonaming.DISABLE))


def test_generate_name_is_refused(plugin: Plugin) -> None:
    with pytest.raises(Refused, match="generateName"):
        plugin.check(URN, {"metadata": {"generateName": "a-"}})


def test_a_namespaced_object_gets_the_default_namespace_and_a_cluster_wide_one_gets_none(
    plugin: Plugin,
) -> None:
    assert plugin.check(URN, {"metadata": {"name": "a"}})["metadata"]["namespace"] == "default"
    role = plugin.check(
        urn_of("kubernetes:rbac.authorization.k8s.io/v1:ClusterRole", "r"), {"metadata": {"name": "a"}}
    )
    assert "namespace" not in role["metadata"]


def test_the_provider_s_namespace_comes_before_that_of_the_context(plane: ControlPlane) -> None:
    content = plane.kubeconfig_content(namespace="of-the-context")
    for args, expected in (({}, "of-the-context"), ({"namespace": "of-the-provider"}, "of-the-provider")):
        with Plugin({"kubeconfig": json.dumps(content), **args}) as plugin:
            assert plugin.check(URN, {"metadata": {"name": "a"}})["metadata"]["namespace"] == expected


def test_a_name_that_is_not_known_yet_is_not_replaced_by_a_random_one(plugin: Plugin) -> None:
    metadata = plugin.check(URN, {"metadata": {"name": UNKNOWN}})["metadata"]
    assert metadata["name"] == UNKNOWN
    assert AUTONAMED not in metadata.get("annotations", {})


def test_the_data_of_a_secret_is_secret_whatever_the_program_says(plugin: Plugin) -> None:
    inputs = plugin.check(
        urn_of(SECRET, "s"),
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "data": {"a": "YQ=="}},
    )
    assert is_secret(inputs["data"])


def test_a_secret_value_anywhere_stays_secret(plugin: Plugin) -> None:
    inputs = plugin.check(URN, {"metadata": {"name": "a"}, "data": {"open": "a", "hidden": secret("b")}})
    assert is_secret(inputs["data"]["hidden"])
    assert inputs["data"]["open"] == "a"


def test_a_list_of_objects_cannot_be_created(plugin: Plugin) -> None:
    with pytest.raises(Refused, match=r"(?i)list"):
        plugin.check(urn_of("kubernetes:core/v1:ConfigMapList", "l"), {"metadata": {}, "items": []})


def test_a_patch_must_say_what_it_patches(plugin: Plugin) -> None:
    with pytest.raises(Refused, match=r"metadata\.name"):
        plugin.check(urn_of("kubernetes:core/v1:ConfigMapPatch", "p"), {"data": {}})


def test_the_scope_of_a_kind_that_the_program_defines_itself_is_known(plugin: Plugin) -> None:
    crd = definition("Ship", scope="Cluster")
    plugin.check(urn_of("kubernetes:apiextensions.k8s.io/v1:CustomResourceDefinition", "ships"), crd)
    ship = plugin.check(urn_of("kubernetes:trial.example.org/v1:Ship", "s"), {"metadata": {"name": "a"}})
    assert "namespace" not in ship["metadata"]


def test_what_the_server_writes_is_not_an_input(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    live = cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", config_map(namespace))
    made = plugin.import_(CONFIG_MAP, f"{namespace}/settings")
    assert made is not None
    made.inputs["metadata"] |= {"resourceVersion": live["metadata"]["resourceVersion"]}
    assert plugin.diff(made, config_map(namespace)).changes == 1
