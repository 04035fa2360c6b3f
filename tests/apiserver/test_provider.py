"""The provider's own arguments."""

import json
import os
from pathlib import Path

import pytest

from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.manifests import CONFIG_MAP, config_map
from tests.apiserver.plugin import UNKNOWN, Made, Plugin, Refused, urn_of
from tests.apiserver.test_preview import NOWHERE

NONE, SOME = 1, 2
URN = urn_of(CONFIG_MAP, "settings")


def works(args: dict, namespace: str, **env: str) -> bool:
    with Plugin(args, env) as plugin:
        return bool(plugin.create(CONFIG_MAP, config_map(namespace, "made-by-args")).id)


def test_a_kubeconfig_may_be_given_by_path(plane: ControlPlane, namespace: str) -> None:
    assert works({"kubeconfig": str(plane.kubeconfig)}, namespace)


def test_a_kubeconfig_may_be_given_by_content(plane: ControlPlane, namespace: str) -> None:
    assert works({"kubeconfig": plane.kubeconfig.read_text()}, namespace)
    with Plugin({"kubeconfig": json.dumps(plane.kubeconfig_content())}) as plugin:
        assert plugin.import_(CONFIG_MAP, f"{namespace}/made-by-args")


def test_the_ambient_kubeconfig_is_the_default(plane: ControlPlane, namespace: str) -> None:
    assert works({}, namespace, KUBECONFIG=str(plane.kubeconfig))


def test_several_ambient_kubeconfigs_are_one(plane: ControlPlane, namespace: str, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("apiVersion: v1\nkind: Config\ncurrent-context: test\n")
    assert works({}, namespace, KUBECONFIG=f"{other}{os.pathsep}{plane.kubeconfig}")


def test_paths_in_a_kubeconfig_are_relative_to_it(
    plane: ControlPlane, namespace: str, tmp_path: Path
) -> None:
    content = plane.kubeconfig_content()
    for entry, key, file in (
        ("users", "client-certificate", "admin.crt"),
        ("users", "client-key", "admin.key"),
    ):
        inner = content[entry][0]["user"]
        del inner[f"{key}-data"]
        inner[key] = file
        (tmp_path / file).write_bytes((plane.pki.folder / file).read_bytes())
    path = tmp_path / "config"
    path.write_text(json.dumps(content))
    assert works({"kubeconfig": str(path)}, namespace)


def test_the_context_and_the_cluster_may_be_chosen(plane: ControlPlane, namespace: str) -> None:
    content = plane.kubeconfig_content()
    content["current-context"] = "wrong"
    content["clusters"].append({"name": "nowhere", "cluster": {"server": "http://127.0.0.1:9"}})
    content["contexts"].append({"name": "wrong", "context": {"cluster": "nowhere", "user": "admin"}})
    assert works({"kubeconfig": json.dumps(content), "context": "test"}, namespace)
    with Plugin({"kubeconfig": json.dumps(content), "context": "wrong", "cluster": "test"}) as plugin:
        assert plugin.import_(CONFIG_MAP, f"{namespace}/made-by-args")


def test_a_context_that_is_not_there_is_named(plane: ControlPlane) -> None:
    args = {"kubeconfig": str(plane.kubeconfig), "context": "elsewhere"}
    with Plugin(args) as plugin, pytest.raises(Refused, match="elsewhere"):
        plugin.create(CONFIG_MAP, config_map("default"))


@pytest.mark.parametrize("argument", ["renderYamlToDirectory", "helmReleaseSettings", "enableServerSideAply"])
def test_an_argument_that_is_not_supported_is_refused(plugin: Plugin, argument: str) -> None:
    failures = plugin.check_config({argument: "something"})
    assert list(failures) == [argument]
    assert failures[argument]


def test_a_switch_that_is_neither_on_nor_off_is_refused(plugin: Plugin) -> None:
    assert list(plugin.check_config({"enablePatchForce": "maybe"})) == ["enablePatchForce"]


def test_client_settings_are_accepted_and_checked(plane: ControlPlane, namespace: str) -> None:
    args = {
        "kubeconfig": str(plane.kubeconfig),
        "kubeClientSettings": '{"qps": 5, "burst": 3, "timeout": 30}',
    }
    assert works(args, namespace)
    with Plugin({"kubeconfig": NOWHERE}) as plugin:
        assert plugin.check_config({"kubeClientSettings": '{"qps": -1}'})


def test_the_same_arguments_are_no_change(plugin: Plugin) -> None:
    assert plugin.diff_config({"kubeconfig": NOWHERE}, {"kubeconfig": NOWHERE}).changes == NONE


def test_another_cluster_replaces_everything_and_other_credentials_do_not(plugin: Plugin) -> None:
    moved, renewed = NOWHERE.replace(":9", ":10"), NOWHERE.replace("user: {}", "user: {token: abc}")
    assert list(plugin.diff_config({"kubeconfig": NOWHERE}, {"kubeconfig": moved}).replaces) == ["kubeconfig"]
    found = plugin.diff_config({"kubeconfig": NOWHERE}, {"kubeconfig": renewed})
    assert found.changes == SOME
    assert not found.replaces


def test_a_kubeconfig_that_is_not_known_yet_may_be_another_cluster(plugin: Plugin) -> None:
    assert list(plugin.diff_config({"kubeconfig": NOWHERE}, {"kubeconfig": UNKNOWN}).replaces) == [
        "kubeconfig"
    ]


@pytest.mark.parametrize("kubeconfig", [UNKNOWN, NOWHERE.replace(":9", ":10")])
def test_the_same_cluster_identifier_is_the_same_cluster_whatever_else_changes(
    plugin: Plugin, kubeconfig: str
) -> None:
    olds = {"kubeconfig": NOWHERE, "clusterIdentifier": "one"}
    assert not plugin.diff_config(olds, {"kubeconfig": kubeconfig, "clusterIdentifier": "one"}).replaces


def test_another_cluster_identifier_is_another_cluster(plugin: Plugin) -> None:
    olds, news = ({"kubeconfig": NOWHERE, "clusterIdentifier": name} for name in ("one", "two"))
    assert list(plugin.diff_config(olds, news).replaces) == ["clusterIdentifier"]


def test_adding_or_removing_the_identifier_replaces_nothing(plugin: Plugin) -> None:
    named, unnamed = {"kubeconfig": NOWHERE, "clusterIdentifier": "one"}, {"kubeconfig": NOWHERE}
    assert not plugin.diff_config(unnamed, named).replaces
    assert not plugin.diff_config(named, unnamed).replaces


def stored() -> Made:
    inputs = config_map("default")
    return Made(URN, "default/settings", inputs, {**inputs, "__inputs": inputs})


def test_an_unreachable_cluster_is_an_error_when_something_must_be_read_or_deleted() -> None:
    with Plugin({"kubeconfig": NOWHERE}) as plugin:
        with pytest.raises(Refused, match="unreachable"):
            plugin.read(stored())
        with pytest.raises(Refused, match="unreachable"):
            plugin.delete(stored())


def test_objects_of_an_unreachable_cluster_may_be_forgotten() -> None:
    with Plugin({"kubeconfig": NOWHERE, "deleteUnreachable": True}) as plugin:
        assert plugin.read(stored()) is None
        plugin.delete(stored())


def test_objects_of_an_unreachable_cluster_may_be_left_as_they_are() -> None:
    with Plugin({"kubeconfig": NOWHERE, "skipUpdateUnreachable": True}) as plugin:
        made = plugin.read(stored())
        assert made is not None
        assert made.inputs == stored().inputs
        assert plugin.check(URN, config_map("default", color="red"), stored().inputs) == stored().inputs
