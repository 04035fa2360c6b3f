"""A real cluster of the tests' own; whatever a killed test run left is removed first."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from local import images, toolchain
from local.cluster import TOOLS, Cluster, down_all, find_leftovers
from seatrial.wanted import addon_images
from tests.cluster.kubectl import Kubectl

CONTROL_PLANE_PORTS = (2379, 2380, 5000, 6443, 10250, 10257, 10259)


@pytest.fixture(scope="session")
def tools() -> Mapping[str, Path]:
    """Binaries and images of the cluster, built where they are missing."""
    down_all(find_leftovers())
    found = toolchain.ensure([*TOOLS, "kubectl"])
    images.ensure(addon_images())
    return found


@pytest.fixture(scope="package")
def cluster(tools: Mapping[str, Path]) -> Iterator[Cluster]:
    """One cluster for all tests that leave it as they found it, started while the ports are taken here."""
    ours = Cluster("t-cluster")
    ours.down()
    with ExitStack() as held:
        for port in CONTROL_PLANE_PORTS:
            held.enter_context(_occupied(port))
        ours.up(tools, tied_to=os.getpid())
    yield ours
    ours.down()
    assert ours.inventory() == []


def _occupied(port: int) -> socket.socket:
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("0.0.0.0", port))
        listener.listen()
    except OSError:
        pass  # another program of this machine holds it: as good
    return listener


@pytest.fixture
def kubectl(cluster: Cluster, tools: Mapping[str, Path]) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own."""
    with Kubectl(tools["kubectl"], cluster.kubeconfig).namespace() as bound:
        yield bound
