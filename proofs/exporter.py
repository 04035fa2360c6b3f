"""A server of the proofs' own: it tells Prometheus what it is told to tell, and refuses when told to."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

import client
from client import Platform, outputs
from client.waiting import until
from proofs import echo, probe

NAME = "probe-causes"
FIGURES, TARGET, ROUTE = "/metrics", "/target", "/route"
"""Its pages: the figures, another that Prometheus reads too, and one for who comes by the Gateway."""
REFUSES = "refuses"
"""What a page holds that is answered with 503."""
SCRIPT = """
import http.server
class Exporter(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    pages = {}
    def do_PUT(self):
        Exporter.pages[self.path] = self.rfile.read(int(self.headers["content-length"]))
        self.answer(200, b"")
    def do_GET(self):
        page = Exporter.pages.get(self.path, b"")
        self.answer(*((503, b"") if page == b"REFUSES" else (200, page)))
    def answer(self, status, body):
        self.send_response(status)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *of):
        pass
http.server.ThreadingHTTPServer(("", PORT), Exporter).serve_forever()
""".replace("REFUSES", REFUSES)
PART_OF = {"app.kubernetes.io/part-of": "seatrial"}
"""Prometheus looks for monitors and rules with this label."""
PATIENCE = 300
"""Seconds until Prometheus has read a monitor or a rule: a kubelet brings it its configuration."""


class Exporter:
    """The server, as the one who tells it what to tell."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http
        self._told: dict[str, str] = {}

    def report(self, alert: str, series: str) -> None:
        """Tell these series, in Prometheus' text format, for this alert; others stay as they are."""
        self._told[alert] = series
        self._put(FIGURES, "".join(self._told.values()))

    def refuse(self, page: str, refuses: bool) -> None:
        """Answer for this page with 503, or with 200 again."""
        self._put(page, REFUSES if refuses else "")

    def forget(self) -> None:
        """Tell nothing, and refuse nobody."""
        self._told.clear()
        for page in (FIGURES, TARGET, ROUTE):
            self._put(page, "")

    def _put(self, page: str, text: str) -> None:
        self._http.put(page, content=text.encode()).raise_for_status()


@contextmanager
def running(platform: Platform, *more: dict[str, Any], routed: bool) -> Iterator[Exporter]:
    """The exporter, once Prometheus reads it; `routed` with a route of the Gateway. `more` are objects that
    come and go with it; nothing of it is left afterwards. One that a killed run left is taken as it is.
    """
    try:
        client.deploy(platform, NAME, [*objects(probe.workload_image(platform), routed), *more])
        here = platform.forward(outputs.NAMESPACE_WORKLOADS, NAME, echo.PORT).local_port
        with httpx.Client(base_url=f"http://127.0.0.1:{here}", timeout=30, trust_env=False) as http:
            telling = Exporter(http)
            telling.forget()
            until(lambda: _pages_read(platform) == 2, f"Prometheus to read {NAME}", PATIENCE)
            yield telling
    finally:
        client.delete_workloads(platform, NAME)


def _pages_read(platform: Platform) -> int:
    job = f"{outputs.NAMESPACE_WORKLOADS}/{NAME}"
    found = platform.prometheus("query", query=f'count(up{{job="{job}"}} == 1)')["result"]
    return int(found[0]["value"][1]) if found else 0


def objects(image: str, routed: bool) -> list[dict[str, Any]]:
    """Deployment, Service, monitor, and a route where there is a Gateway."""
    deployment, service, route = echo.manifests(image, NAME, script=SCRIPT)
    (main,) = deployment["spec"]["template"]["spec"]["containers"]
    main["ports"] = [{"name": "http", "containerPort": echo.PORT}]
    spec = {
        "selector": {"matchLabels": service["spec"]["selector"]},
        "podMetricsEndpoints": [
            # It tells what another exporter would tell: job, namespace and instance are that one's.
            {**_page(FIGURES), "honorLabels": True},
            _page(TARGET),
        ],
    }
    monitor = watched("monitoring.coreos.com/v1", "PodMonitor", NAME, spec)
    return [deployment, service, monitor, *([route] if routed else [])]


def _page(path: str) -> dict[str, Any]:
    """Each page has an `up` of its own."""
    named = {"sourceLabels": ["__metrics_path__"], "targetLabel": "metrics_path"}
    return {"port": "http", "path": path, "relabelings": [named]}


def watched(api: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """An object of the Prometheus Operator that it takes for one of the platform's."""
    metadata = {"name": name, "namespace": outputs.NAMESPACE_WORKLOADS, "labels": PART_OF}
    return {"apiVersion": api, "kind": kind, "metadata": metadata, "spec": spec}
