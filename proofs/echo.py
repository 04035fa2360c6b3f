"""A backend behind the Gateway that tells what it was sent: a pod of the workloads' image with a route."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

import client
from client import Platform, gateway, outputs
from client.waiting import until
from proofs import probe
from workloads import pods

PORT = 8080
SCRIPT = """
import http.server, json
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    asked = 0
    def do_POST(self):
        Echo.asked += 1
        size = len(self.rfile.read(int(self.headers.get("content-length", 0))))
        told = {"headers": dict(self.headers.items()), "size": size, "asked": Echo.asked}
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_GET = do_POST
http.server.ThreadingHTTPServer(("", PORT), Echo).serve_forever()
"""


@contextmanager
def behind(platform: Platform, name: str, *, repeatable: bool = False) -> Iterator[gateway.Gateway]:
    """A client of the echo's route, once it answers; the echo goes afterwards."""
    client.delete_workloads(platform, name)
    objects = manifests(probe.workload_image(platform), name, repeatable=repeatable)
    client.deploy(platform, name, objects, wait=False)
    try:
        with gateway.Gateway(platform, name) as here:
            # Without a route there is no policy either: whoever asks is told 404.
            answers(here, lambda: here.get("/"), lambda status: status not in (404, 500, 503))
            yield here
    finally:
        client.delete_workloads(platform, name)


def answers(
    here: httpx.Client, ask: Callable[[], httpx.Response], fits: Callable[[int], bool], patience: float = 120
) -> None:
    """Ask until the status of the answer fits: then the route leads to its backend.

    Raises:
        ClientError: it does not; with the last answer.
    """
    seen: list[httpx.Response] = []

    def fitting() -> bool:
        seen.append(ask())
        return fits(seen[-1].status_code)

    def what() -> str:
        return f"{here.base_url}, which still answers {seen[-1].status_code}: {seen[-1].text[:200]}"

    until(fitting, what, patience, every=0.3)


def manifests(
    image: str, name: str, *, script: str = SCRIPT, repeatable: bool = False
) -> list[dict[str, Any]]:
    """Deployment, Service and route of a server in Python; PORT in its script is where it listens."""
    main = pods.container(image, "-", [], cpu="20m", memory="64Mi", memory_limit="128Mi")
    main["command"] = ["python3", "-c", script.replace("PORT", str(PORT))]
    main["readinessProbe"] = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    template = pods.pod(name, main, restartPolicy="Always")
    selector = {"app.kubernetes.io/name": name}
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": outputs.NAMESPACE_WORKLOADS,
        "labels": pods.labels(name),
    }
    again = {outputs.REPEATABLE_LABEL: "true"} if repeatable else {}
    route = {
        "parentRefs": [gateway.parent()],
        "hostnames": [gateway.host(name)],
        "rules": [{"backendRefs": [{"name": name, "port": PORT}]}],
    }
    return [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {"replicas": 1, "selector": {"matchLabels": selector}, "template": template},
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": selector, "ports": [{"port": PORT, "targetPort": PORT}]},
        },
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {**metadata, "labels": {**metadata["labels"], **again}},
            "spec": route,
        },
    ]
