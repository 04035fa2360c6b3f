"""The cluster as its administrator sees it: what tests use to look, to interfere and to play the node."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from tests.apiserver.controlplane import ControlPlane

_PATIENCE = 120.0
Object = dict[str, Any]


class Cluster:
    """Requests to the API server by path; an answer other than success raises."""

    def __init__(self, plane: ControlPlane) -> None:
        pki = plane.pki.folder
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._http = httpx.Client(base_url=plane.server, verify=context, timeout=30)

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def ready(self) -> bool:
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path: str, **query: str) -> Object:
        return self._http.get(path, params=query).raise_for_status().json()

    def text(self, path: str) -> str:
        return self._http.get(path).raise_for_status().text

    def find(self, path: str) -> Object | None:
        answer = self._http.get(path)
        return None if answer.status_code == 404 else answer.raise_for_status().json()

    def create(self, path: str, body: Object, **query: str) -> Object:
        return self._http.post(path, json=body, params=query).raise_for_status().json()

    def patch(self, path: str, body: Any, manager: str = "someone-else") -> Object:
        """A merge patch by another client."""
        headers = {"Content-Type": "application/merge-patch+json"}
        answer = self._http.patch(path, json=body, params={"fieldManager": manager}, headers=headers)
        return answer.raise_for_status().json()

    def apply(self, path: str, body: Object, manager: str = "someone-else", force: bool = True) -> Object:
        """A server-side apply by another client."""
        headers = {"Content-Type": "application/apply-patch+yaml"}
        query = {"fieldManager": manager, "force": str(force).lower()}
        return self._http.patch(path, json=body, params=query, headers=headers).raise_for_status().json()

    def status(self, path: str, **fields: Any) -> Object:
        """Write the status as a controller or kubelet would."""
        return self.patch(f"{path}/status", {"status": fields})

    def pods(self, namespace: str, labels: str) -> list[Object]:
        return self.get(f"/api/v1/namespaces/{namespace}/pods", labelSelector=labels)["items"]

    def first_pod(self, namespace: str, labels: str) -> Object:
        """The pod that a controller makes, as soon as it is there."""
        return self.eventually(f"a pod with {labels}", lambda: self.pods(namespace, labels))[0]

    def add_node(self, name: str, **labels: str) -> None:
        """A node that its controllers take for ready; no kubelet lives there."""
        self.create("/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        path = f"/api/v1/nodes/{name}"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ready = {"type": "Ready", "status": "True", "lastHeartbeatTime": now, "lastTransitionTime": now}
        self.status(path, conditions=[ready])
        self.eventually(f"{name} without taints", lambda: not self.get(path)["spec"].get("taints"))

    def bind(self, namespace: str, pod: str, node: str) -> None:
        """Put the pod on the node, as a scheduler would."""
        body = {"metadata": {"name": pod}, "target": {"kind": "Node", "name": node}}
        self.create(f"/api/v1/namespaces/{namespace}/pods/{pod}/binding", body)

    def run_pod(self, namespace: str, name: str, address: str = "10.98.0.1") -> None:
        """The pod serves, says the kubelet that this control plane has not."""
        ready = [{"type": kind, "status": "True"} for kind in ("Initialized", "ContainersReady", "Ready")]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": ready}
        self.status(f"/api/v1/namespaces/{namespace}/pods/{name}", **status)

    def delete(self, path: str, **query: str) -> None:
        answer = self._http.delete(path, params=query)
        if answer.status_code != 404:
            answer.raise_for_status()

    def eventually(self, what: str, look: Callable[[], Any]) -> Any:
        """What `look` returns as soon as it is something."""
        deadline = time.monotonic() + _PATIENCE
        while not (found := look()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never seen: {what}")
            time.sleep(0.05)
        return found
