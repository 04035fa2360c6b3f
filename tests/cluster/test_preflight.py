"""A machine that cannot hold a cluster is told so before anything changes."""

import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from local.cluster import Cluster
from local.cluster.preflight import Needs
from local.errors import LocalError

ROOT = Path(__file__).parents[2]
NAME = "t-refused"
UP = f"from local.cluster import Cluster; Cluster('{NAME}').up({{}})"
CHOOSE = "from local.cluster.network import choose_index; print(choose_index())"


@pytest.fixture
def refused(tools: Mapping[str, Path]) -> Iterator[Cluster]:
    ours = Cluster(NAME)
    yield ours
    assert ours.inventory() == []


def python(code: str, *before: str) -> str:
    """What a Python program says when it is run by the command `before`."""
    done = subprocess.run(
        [*before, sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False
    )
    return done.stdout + done.stderr


def test_a_missing_capability_is_named(refused: Cluster) -> None:
    lost = "-net_admin,-sys_admin"
    said = python(UP, "setpriv", f"--inh-caps={lost}", f"--bounding-set={lost}", "--ambient-caps=-all")
    assert "lacks CAP_NET_ADMIN, CAP_SYS_ADMIN" in said
    assert "what to do" in said


def test_a_plain_user_is_told_to_be_root(refused: Cluster) -> None:
    check = "from local.cluster.preflight import _check_rights; import os; os.setuid(65534); _check_rights()"
    assert "needs root, and this is user 65534" in python(check)


def test_too_little_memory_is_named(refused: Cluster) -> None:
    with pytest.raises(LocalError, match=r"of memory are available, and a local cluster needs 1048576.0 GiB"):
        Cluster(NAME, Needs(memory=2**50)).up({})


def test_too_small_a_disk_is_named(refused: Cluster, tmp_path: Path) -> None:
    full = 'mount -t tmpfs -o size=8m seatrial-test "$XDG_STATE_HOME" && exec "$@"'
    # In a mount namespace of its own, so that a killed test leaves no mount.
    alone = ["env", f"XDG_STATE_HOME={tmp_path}", "unshare", "--mount", "--propagation", "private"]
    said = python(UP, *alone, "sh", "-c", full, "sh")
    assert f"0.0 GiB of disk are free at {tmp_path}" in said


def test_a_state_folder_that_nodes_would_not_see_is_refused(
    refused: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/run/somewhere")
    with pytest.raises(LocalError, match="lies under /run"):
        Cluster(NAME).up({})


def test_a_taken_subnet_is_passed_over() -> None:
    taken = "ip link add st1 type veth && ip address add 10.201.0.7/24 dev lo && exec "
    script = taken + shlex.join([sys.executable, "-c", CHOOSE])
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], cwd=ROOT, text=True, capture_output=True)
    assert done.stdout == "2\n", done.stderr


def test_no_subnet_left_is_named() -> None:
    script = "ip address add 10.201.0.1/16 dev lo && exec " + shlex.join([sys.executable, "-c", CHOOSE])
    done = subprocess.run(["unshare", "--net", "sh", "-c", script], cwd=ROOT, text=True, capture_output=True)
    assert "cover all of 10.201.0.0/16 (10.201.0.0/16" in done.stderr
