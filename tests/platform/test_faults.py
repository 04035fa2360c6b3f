"""Break a running platform on purpose: the right proof or command goes red and names the cause."""

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from client import Platform as Client
from client.errors import ClientError
from client.waiting import until
from infra import parts
from local.cluster import Cluster
from proofs import faults
from proofs.run import prove
from seatrial.connection import workloads_run_in
from tests.commandline import Platform

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def whole(platform: Platform) -> Platform:
    """With all parts: each fault needs the proofs that it reddens."""
    platform.ok("up", "--no-prove", "--parts", parts.text(parts.ALL))
    return platform


@pytest.fixture
def client(whole: Platform) -> Iterator[Client]:
    with Client.connect(kubeconfig=Cluster(whole.cluster).kubeconfig) as reached:
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

    outcome = faults.during_training(client, workloads_run_in("local", None), kill)
    assert killed
    if isinstance(outcome, ClientError):
        assert re.search(r"\bpod train-delay-(node-0-)?[01]-\w+", str(outcome)), outcome
    else:
        hashes = [said["own_weights_sha256"] for said in outcome.values()]
        assert len(hashes) == 2
        assert len(set(hashes)) == 1
    assert platform.json("cluster", "status")["problems"] == []
    platform.ok("deploy", "train_delay")


def gpus_are_gone(client: Client) -> bool:
    return not any(
        int(node.status.allocatable.get("nvidia.com/gpu", 0)) for node in client.core.list_node().items
    )


def a_node_is_lost(client: Client) -> bool:
    states = [
        c.status
        for node in client.core.list_node().items
        for c in node.status.conditions
        if c.type == "Ready"
    ]
    return set(states) != {"True"}


@pytest.mark.parametrize(
    ("part", "seen", "proof", "words"),
    [
        ("kubelet-gpu", a_node_is_lost, "platform.nodes_are_ready", "node gpu is Ready"),
        ("gpu-plugin-gpu", gpus_are_gone, "platform.gpus_are_handed_out", "the simulated pool has two GPUs"),
    ],
)
def test_a_dead_part_of_a_node_reddens_its_proof(
    platform: Platform, client: Client, part: str, seen: Callable[[Client], bool], proof: str, words: str
) -> None:
    pid = next(found.pid for found in Cluster(platform.cluster).status().components if found.name == part)
    assert pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: seen(client), f"the cluster to notice that {part} is dead")
    (broken,) = prove(client, only=[proof])
    platform.ok("cluster", "up")
    until(lambda: not seen(client), f"{part} to be back")
    (mended,) = prove(client, only=[proof])
    assert broken.result == "failed"
    assert words in broken.cause
    assert mended.result == "passed", mended.cause


FILL = """
mount -t tmpfs -o size=64m seatrial-test "$XDG_CACHE_HOME"
"$@"
status=$?
find "$XDG_CACHE_HOME" -type f -size +1M
exit $status
"""
"""Runs a command on a small disk, in a mount namespace of its own so that a killed test leaves no mount."""


def test_a_full_cache_disk_is_named_before_anything_is_built(platform: Platform, tmp_path: Path) -> None:
    alone = ["unshare", "--mount", "--propagation", "private"]
    done = subprocess.run(
        [*alone, "sh", "-c", FILL, "sh", *platform.command, "setup"],
        env=platform.environment | {"XDG_CACHE_HOME": str(tmp_path)}, text=True, capture_output=True,
    )  # fmt: skip
    assert done.returncode == 3, done.stdout + done.stderr
    assert str(tmp_path) in done.stderr
    assert "what to do" in done.stderr
    assert str(tmp_path) not in done.stdout, "something was built"
