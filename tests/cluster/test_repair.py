"""Parts of a running cluster die, and `up` brings them back without harm to the pods."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from local.cluster import Cluster, cleanup, nodes
from local.cluster.layout import Layout
from local.cluster.status import component_names
from tests.cluster.kubectl import Kubectl, pod


def kill(cluster: Cluster, *parts: str) -> None:
    """Kill these parts at once, and see that the cluster tells."""
    pids = {c.name: c.pid for c in cluster.status().components}
    for part in parts:
        pid = pids[part]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: {f"{p} does not run" for p in parts} <= set(cluster.status().problems))
    assert cluster.status().state == "degraded"


def layout_of(cluster: Cluster) -> Layout:
    record = cleanup.read_record(cluster.name)
    assert record
    return Layout(cluster.name, record.index, record.state)


def eventually(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.1)


def test_a_pod_survives_its_nodes_runtime_and_kubelet(
    cluster: Cluster, tools: Mapping[str, Path], kubectl: Kubectl
) -> None:
    kubectl.apply(pod("lasting", "echo began; exec sleep 3600", restartPolicy="Always"))
    kubectl.wait("pod/lasting", "condition=Ready")
    before = _identity(kubectl)
    kill(cluster, "containerd-work", "kubelet-work")
    # Its socket is still there: a kubelet that was started now would end.
    assert nodes.silent_runtime(layout_of(cluster)) == "containerd-work does not answer"
    cluster.up(tools, tied_to=os.getpid())
    # The new kubelet has looked at the pod once it can run another one beside it.
    kubectl.run_to_end(pod("beside", "true"))
    assert kubectl("exec", "lasting", "--", "cat", "/proc/1/comm") == "sleep\n"
    assert _identity(kubectl) == before
    assert kubectl("logs", "lasting") == "began\n"


def _identity(kubectl: Kubectl) -> tuple[str, str, int]:
    found = kubectl.json("get", "pod", "lasting")
    container = found["status"]["containerStatuses"][0]
    return found["metadata"]["uid"], container["containerID"], container["restartCount"]


def test_simulated_gpus_survive_a_kubelet(
    cluster: Cluster, tools: Mapping[str, Path], kubectl: Kubectl
) -> None:
    assert _gpus(cluster) == "2"
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    kubectl.apply(pod("first", "echo $NVIDIA_VISIBLE_DEVICES; exec sleep 3600", "gpu", container=gpu))
    kubectl.wait("pod/first", "condition=Ready")
    kill(cluster, "kubelet-gpu")
    cluster.up(tools, tied_to=os.getpid())
    # Both devices are usable: the one that is taken stays taken, the other is given out.
    kubectl.apply(pod("second", "echo $NVIDIA_VISIBLE_DEVICES; exec sleep 3600", "gpu", container=gpu))
    kubectl.wait("pod/second", "condition=Ready")
    eventually(lambda: _gpus(cluster) == "2")
    given = {kubectl("logs", name) for name in ("first", "second")}
    assert given == {"simulated-0\n", "simulated-1\n"}


def _gpus(cluster: Cluster) -> str | None:
    return next(n for n in cluster.status().nodes if n.name == "gpu").allocatable.get("nvidia.com/gpu")


def test_any_parts_can_be_killed_together(
    cluster: Cluster, tools: Mapping[str, Path], kubectl: Kubectl
) -> None:
    seed = int(os.environ.get("SEATRIAL_SEED", random.randrange(10**6)))
    parts = random.Random(seed).sample(component_names(), 5)
    print(f"SEATRIAL_SEED={seed}: {parts}")
    kill(cluster, *parts)
    cluster.up(tools, tied_to=os.getpid())
    assert cluster.status().problems == []
    assert kubectl.run_to_end(pod("after", "echo works")) == "works\n"


@pytest.mark.faults
@pytest.mark.parametrize("part", component_names())
def test_each_part_can_be_killed(
    cluster: Cluster, tools: Mapping[str, Path], kubectl: Kubectl, part: str
) -> None:
    kill(cluster, part)
    cluster.up(tools, tied_to=os.getpid())
    assert cluster.status().problems == []
    assert kubectl.run_to_end(pod("after", "echo works")) == "works\n"


def test_a_lost_network_namespace_is_made_anew(
    cluster: Cluster, tools: Mapping[str, Path], kubectl: Kubectl
) -> None:
    subprocess.run(["ip", "netns", "delete", f"st-{cluster.name}-work"], check=True)
    cluster.up(tools, tied_to=os.getpid())
    assert kubectl.run_to_end(pod("after", "echo works")) == "works\n"
