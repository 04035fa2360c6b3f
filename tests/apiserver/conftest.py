"""One control plane for the session, a namespace for each test, and a plugin that is configured for it."""

import re
import secrets
from collections.abc import Iterator

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.plugin import Plugin


@pytest.fixture(scope="session")
def plane() -> Iterator[ControlPlane]:
    with ControlPlane() as running:
        yield running


@pytest.fixture(scope="session")
def cluster(plane: ControlPlane) -> Iterator[Cluster]:
    with Cluster(plane) as administered:
        yield administered


@pytest.fixture(scope="session")
def plugin(plane: ControlPlane) -> Iterator[Plugin]:
    """A plugin with nothing but a kubeconfig."""
    with Plugin({"kubeconfig": str(plane.kubeconfig)}) as running:
        yield running


@pytest.fixture
def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own, with its default service account; it goes with the control plane."""
    words = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")[:40].strip("-")
    name = f"{words}-{secrets.token_hex(2)}"
    cluster.create("/api/v1/namespaces", {"metadata": {"name": name}})
    cluster.eventually(
        "the default service account",
        lambda: cluster.find(f"/api/v1/namespaces/{name}/serviceaccounts/default"),
    )
    return name
