"""Break a running platform on purpose: the right proof or command goes red and names the cause."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from client import Platform as Client
from local.cluster import Cluster
from proofs import faults
from seatrial.connection import workloads_run_in
from tests.platform.conftest import Platform

pytestmark = pytest.mark.faults


@pytest.fixture
def client(platform: Platform) -> Iterator[Client]:
    platform.ok("up", "--no-prove")
    with Client.connect(kubeconfig=Cluster(platform.cluster).kubeconfig) as reached:
        yield reached


@pytest.mark.parametrize("name", faults.FAULTS)
def test_a_fault_reddens_its_proofs_by_name(client: Client, name: str) -> None:
    assert faults.trial(client, faults.FAULTS[name]).complaints == []


def test_a_containerd_killed_during_training_is_named_and_repaired(
    platform: Platform, client: Client
) -> None:
    killed = []

    def kill(nodes: dict[str, str]) -> None:
        name = f"containerd-{nodes['1']}"
        pid = next(part.pid for part in Cluster(platform.cluster).status().components if part.name == name)
        assert pid
        os.kill(pid, signal.SIGKILL)
        killed.append(name)
        told = platform.call("cluster", "status")
        assert told.returncode == 1
        assert f"{name} does not run" in told.stdout
        platform.ok("cluster", "up")

    faults.during_training(client, workloads_run_in("local", None), kill)
    assert killed
    assert platform.json("cluster", "status")["problems"] == []
    platform.ok("deploy", "train_delay")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "seatrial-test", tmp_path], check=True)
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


def test_a_full_cache_disk_is_named_before_anything_is_built(small_disk: Path, platform: Platform) -> None:
    done = subprocess.run(
        [*platform.command, "setup"], env=platform.environment | {"XDG_CACHE_HOME": str(small_disk)},
        text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 3
    assert str(small_disk) in done.stderr
    assert "what to do" in done.stderr
    assert [path for path in small_disk.rglob("*") if path.is_file() and path.stat().st_size > 1 << 20] == []
