"""What is written down about the tools belongs together: tools.toml, debian.toml, go.mod and go.sum."""

import re
import tomllib

import pytest

from infra import helm
from local.toolchain import debian, tools
from local.toolchain.onpath import fits
from local.toolchain.tools import PathRule, Tool

EVERY_TOOL = pytest.mark.parametrize(
    "tool", [tools.load(name) for name in tools.known()], ids=lambda tool: tool.name
)


def test_every_module_folder_is_a_tool_and_every_tool_has_one() -> None:
    folders = {path.name for path in (tools.FOLDER / "modules").iterdir()}
    assert folders == set(tools.known())


@EVERY_TOOL
def test_the_version_is_exact_and_its_checksum_is_known(tool: Tool) -> None:
    module = tomllib.loads((tools.FOLDER / "tools.toml").read_text())[tool.name]["module"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+", tool.version)
    assert f"{module} {tool.version} h1:" in (tool.module_dir / "go.sum").read_text()


@EVERY_TOOL
def test_the_module_is_named_after_its_folder(tool: Tool) -> None:
    assert (tool.module_dir / "go.mod").read_text().startswith(f"module seatrial.local/tools/{tool.name}\n")


@EVERY_TOOL
def test_a_package_belongs_to_a_required_module_or_is_our_own_main(tool: Tool) -> None:
    required = re.findall(
        r"^\s*(?:require\s+)?(\S+) v\S+", (tool.module_dir / "go.mod").read_text(), re.MULTILINE
    )
    for binary in tool.binaries:
        if binary.package == ".":
            assert (tool.module_dir / "main.go").is_file()
        else:
            assert any(binary.package == one or binary.package.startswith(f"{one}/") for one in required)


def test_no_two_tools_bring_the_same_command() -> None:
    names = [name for tool in tools.known() for name in tools.load(tool).names()]
    assert sorted(names) == sorted(set(names))


def test_kubectl_and_the_cluster_are_of_one_release() -> None:
    cluster, client = tools.load("kubernetes").version, tools.load("kubectl").version
    assert client.removeprefix("v0.") == cluster.removeprefix("v1.")


def test_charts_are_rendered_for_the_cluster_that_is_built() -> None:
    assert tools.load("kubernetes").version == f"v{helm.KUBERNETES}"


def test_helm_renders_for_the_cluster_that_is_built() -> None:
    minor = tools.load("kubernetes").version.split(".")[1]
    assert f"k8sVersionMinor={minor}" in tools.load("helm").ldflags


def test_version_numbers_reach_the_linker() -> None:
    assert f"gitVersion={tools.load('kubernetes').version} " in tools.load("kubectl").ldflags
    assert "{" not in "".join(tools.load(name).ldflags for name in tools.known())


def test_an_unknown_tool_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(ValueError, match=r"'helmet'.*helm"):
        tools.load("helmet")


def test_every_package_says_what_it_is_for() -> None:
    reasons = debian.needed()
    assert reasons
    assert all(reason.strip() for reason in reasons.values())


@pytest.mark.parametrize(
    ("rule", "answer", "expected"),
    [
        ("exact", "v3.246.0\n", True),
        ("exact", "v3.246.1\n", False),
        ("exact", "v3.246.0-beta.1\n", False),
        ("minor", "Client Version: v3.246.9\nKustomize Version: v5.7.1\n", True),
        ("minor", "containerd github.com/containerd/containerd/v2 v3.246.2 abcdef", True),
        ("minor", "CoreDNS-3.24.6\nlinux/amd64", False),
        ("minor", "v4.246.0", False),
        ("minor", "", False),
        ("exact", "pulumi: not found", False),
    ],
)
def test_a_version_on_path_is_judged_by_the_rule(rule: str, answer: str, expected: bool) -> None:
    assert fits(PathRule(rule, ("tool", "version"), "v3.246.0"), answer) is expected
