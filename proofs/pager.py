"""Whom the reaction pages: a service that is away at first, as such services are now and then."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

import client
from client import Platform, outputs
from proofs import echo, probe

NAME = "probe-pager"
SCRIPT = """
import http.server, json
seen = {"refused": 0, "taken": []}
class Pager(http.server.BaseHTTPRequestHandler):
    away = True
    def do_POST(self):
        page = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if Pager.away:
            seen["refused"] += 1
        else:
            seen["taken"].append(page)
        self.answer(503 if Pager.away else 202)
    def do_PUT(self):
        Pager.away = False
        self.answer(200)
    def do_GET(self):
        self.answer(200)
    def answer(self, status):
        body = json.dumps(seen).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("", PORT), Pager).serve_forever()
"""


@dataclass(frozen=True)
class Pager:
    """What it was sent."""

    url: str
    """Where pages go."""
    http: httpx.Client

    def back(self) -> None:
        """It takes pages from now on."""
        self.http.put("/").raise_for_status()

    def refused(self) -> int:
        """How many it was sent while it was away."""
        return int(self._seen()["refused"])

    def taken(self) -> list[dict[str, Any]]:
        """The others, the oldest first."""
        found: list[dict[str, Any]] = self._seen()["taken"]
        return found

    def _seen(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get("/").raise_for_status().json()
        return found


@contextmanager
def running(platform: Platform) -> Iterator[Pager]:
    """It goes afterwards, with all that it was sent."""
    client.delete_workloads(platform, NAME)
    deployment, service, _ = echo.manifests(probe.workload_image(platform), NAME, script=SCRIPT)
    try:
        client.deploy(platform, NAME, [deployment, service], deadline=180)
        here = platform.forward(outputs.NAMESPACE_WORKLOADS, NAME, echo.PORT).local_port
        with httpx.Client(base_url=f"http://127.0.0.1:{here}", timeout=30, trust_env=False) as http:
            yield Pager(f"http://{NAME}.{outputs.NAMESPACE_WORKLOADS}:{echo.PORT}/", http)
    finally:
        client.delete_workloads(platform, NAME)
