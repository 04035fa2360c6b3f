"""The HTTPRoute, read and changed through the Kubernetes API with the pod's own account."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from workloads import common
from workloads.steer_traffic.steering import STEERED, Move, Note

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
NAMESPACE = "workloads"


class Gateway:
    """The route of one model."""

    def __init__(self, model: str) -> None:
        host, port = common.env("KUBERNETES_SERVICE_HOST"), common.env("KUBERNETES_SERVICE_PORT")
        api = "apis/gateway.networking.k8s.io/v1"
        self.url = f"https://{host}:{port}/{api}/namespaces/{NAMESPACE}/httproutes/{model}"

    def read(self) -> dict[str, Any] | None:
        """The route as it is now; None where there is none.

        Raises:
            requests.RequestException: the API server does not answer, or refuses.
        """
        answer = self._call("GET")
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        route: dict[str, Any] = answer.json()
        return route

    def write(self, route: dict[str, Any], note: Note, move: Move | None = None) -> bool:
        """Note and move in one; False where the route was changed since it was read: look again."""
        annotations = {STEERED: json.dumps(asdict(note), separators=(",", ":"))}
        version = route["metadata"]["resourceVersion"]
        body: dict[str, Any] = {"metadata": {"resourceVersion": version, "annotations": annotations}}
        if move:
            body["spec"] = {"rules": move.rules}
        answer = self._call("PATCH", json=body)
        if answer.status_code == 409:
            return False
        answer.raise_for_status()
        return True

    def _call(self, method: str, **more: Any) -> Any:
        import requests

        # The token is read each time: it is replaced in its file before it expires.
        headers = {"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        return requests.request(
            method, self.url, headers=headers, verify=str(ACCOUNT / "ca.crt"), timeout=20, **more
        )
