"""What stands in for kube-state-metrics on a real API server, with the rights that the program gives it."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra import outputs
from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.unit.infra_stacks import built
from workloads.watch_objects import config, families, main, watching
from workloads.watch_objects.watching import Watcher

MONITORING = outputs.NAMESPACE_MONITORING
ACCOUNT = "kube-state-metrics"
RIGHTS = "/apis/rbac.authorization.k8s.io/v1"
PLACES = {
    "ServiceAccount": f"/api/v1/namespaces/{MONITORING}/serviceaccounts/{ACCOUNT}",
    "ClusterRole": f"{RIGHTS}/clusterroles/seatrial-{ACCOUNT}",
    "ClusterRoleBinding": f"{RIGHTS}/clusterrolebindings/seatrial-{ACCOUNT}",
}


@pytest.fixture(scope="module")
def account(plane: ControlPlane, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The account's token and authority, as a pod has them."""
    if not cluster.find(f"/api/v1/namespaces/{MONITORING}"):
        cluster.create("/api/v1/namespaces", {"metadata": {"name": MONITORING}})
    for kind, place in PLACES.items():
        [item] = [
            each.inputs for each in built("local").of_kind(kind) if each.inputs["metadata"]["name"] in place
        ]
        cluster.apply(place, item)
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    token = cluster.create(f"{PLACES['ServiceAccount']}/token", asked)
    folder = tmp_path_factory.mktemp("account")
    (folder / "token").write_text(token["status"]["token"])
    (folder / "ca.crt").write_text((plane.pki.folder / "ca.crt").read_text())
    return folder


@pytest.fixture
def program(
    plane: ControlPlane, account: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[httpx.Client, list[Watcher]]]:
    """The whole program, with two objects a page, and a client that scrapes it."""
    host, _, port = plane.server.removeprefix("https://").rpartition(":")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    for module in (main, watching):
        monkeypatch.setattr(module, "ACCOUNT", account)
    leaving = threading.Event()
    settings = config.WatchObjects(port=0, page=2, watch=5, pause=0.1)
    api = main.client()
    server, watchers = main.serve(settings, api, leaving)
    with httpx.Client(base_url=f"http://127.0.0.1:{server.server_address[1]}") as http:
        yield http, watchers
    leaving.set()
    api.close()
    server.shutdown()
    server.server_close()


def value(http: httpx.Client, name: str, **labels: str) -> float | None:
    """The one sample with these labels; None where there is none, or nothing is told."""
    answer = http.get("/metrics")
    wanted = [f'{key}="{each}"' for key, each in labels.items()]
    lines = answer.text.splitlines() if answer.status_code == 200 else []
    found = [line for line in lines if line.startswith(f"{name}{{") and all(word in line for word in wanted)]
    assert len(found) <= 1, found
    return float(found[0].rpartition(" ")[2]) if found else None


def deployment(name: str, replicas: int) -> dict[str, Any]:
    labels = {"app": name}
    container = {"name": "main", "image": "image:1", "resources": {"requests": {"cpu": "250m"}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def test_objects_that_come_change_and_go_are_told_of(
    program: tuple[httpx.Client, list[Watcher]], cluster: Cluster, namespace: str
) -> None:
    http, _ = program
    cluster.eventually("lists", lambda: http.get("/readyz").status_code == 200)
    place = f"/apis/apps/v1/namespaces/{namespace}/deployments/slow"
    cluster.apply(place, deployment("slow", 3))

    def told(name: str, number: float | None, **labels: str) -> None:
        own = {"namespace": namespace, **labels}
        cluster.eventually(f"{name} {number}", lambda: value(http, name, **own) == number)

    told("kube_deployment_spec_replicas", 3, deployment="slow")
    told("kube_deployment_status_replicas_unavailable", 3, deployment="slow")
    pod = cluster.eventually("a pod", lambda: cluster.pods(namespace, "app=slow"))[0]["metadata"]["name"]
    told("kube_pod_status_phase", 1, pod=pod, phase="Pending")
    told("kube_pod_container_resource_requests", 0.25, pod=pod, resource="cpu")
    cluster.apply(place, deployment("slow", 0))
    told("kube_deployment_spec_replicas", 0, deployment="slow")
    told("kube_pod_status_phase", None, pod=pod, phase="Pending")
    cluster.delete(place)
    told("kube_deployment_spec_replicas", None, deployment="slow")


def test_a_watch_that_is_taken_up_again_is_told_what_happened_meanwhile(
    program: tuple[httpx.Client, list[Watcher]], cluster: Cluster, namespace: str
) -> None:
    before = cluster.get("/apis/apps/v1/deployments")["metadata"]["resourceVersion"]
    for name in ("a", "b", "c"):
        cluster.apply(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}", deployment(name, 0))
    cluster.delete(f"/apis/apps/v1/namespaces/{namespace}/deployments/b")
    kept, leaving = watching.Kept("deployments", families.deployment), threading.Event()
    settings = config.WatchObjects(watch=5, pause=0.1)
    with main.client() as api:
        late = Watcher(kept, "/apis/apps/v1/deployments", api, settings, leaving)
        late.version = before
        thread = threading.Thread(target=late.run, daemon=True)
        thread.start()

        def names() -> set[str]:
            return {labels["deployment"] for _, labels, _ in kept.samples()}

        cluster.eventually("two Deployments", lambda: names() == {"a", "c"})
        leaving.set()
        thread.join(timeout=60)
    assert not kept.listed, "it was listed anew, which was not needed"
    assert late.version != before


def test_the_account_reads_nothing_else(
    program: tuple[httpx.Client, list[Watcher]], cluster: Cluster, namespace: str
) -> None:
    with main.client() as api:
        for path in ("/api/v1/secrets", "/api/v1/configmaps", f"/api/v1/namespaces/{namespace}/configmaps"):
            assert api.get(path, headers=watching._authorization()).status_code == 403, path
