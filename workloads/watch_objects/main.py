"""Tell Prometheus of the objects of a cluster, where kube-state-metrics cannot be had.

Six resources are listed once and then watched. Nothing is told before each of them was listed, nor when the
API server has not been heard of for minutes: figures that nobody vouches for are worse than none.
"""

import argparse
import signal
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from workloads import common
from workloads.common import log
from workloads.settings import changed
from workloads.watch_objects import config, families
from workloads.watch_objects.config import WatchObjects
from workloads.watch_objects.watching import ACCOUNT, Kept, Watcher

TEXT = "text/plain; version=0.0.4; charset=utf-8"
HELP = "As kube-state-metrics has it."


class Objects(Collector):
    """All samples of all resources, by name."""

    def __init__(self, kept: list[Kept]) -> None:
        self.kept = kept

    def collect(self) -> Any:
        found: dict[str, Metric] = {}
        for each in self.kept:
            for name, labels, value in each.samples():
                if name not in found:
                    found[name] = _family(name)
                found[name].add_sample(name, labels, value)
        yield from found.values()


def _family(name: str) -> Metric:
    if name in families.COUNTERS:
        return Metric(name.removesuffix("_total"), HELP, "counter")
    return Metric(name, HELP, "gauge")


class Handler(BaseHTTPRequestHandler):
    """`/metrics` and `/readyz` answer 503 while something is not known; `/livez` always answers."""

    kept: list[Kept]
    stale: float
    registry: CollectorRegistry

    def do_GET(self) -> None:
        unknown = [each.resource for each in self.kept if not each.fresh(self.stale)]
        if self.path == "/livez":
            self._answer(200, b"ok")
        elif unknown:
            self._answer(503, f"the API server does not tell of {', '.join(unknown)}".encode())
        elif self.path == "/readyz":
            self._answer(200, b"ok")
        elif self.path == "/metrics":
            self._answer(200, generate_latest(self.registry))
        else:
            self._answer(404, b"/metrics, /readyz, /livez")

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", TEXT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A line for each scrape would hide the rest."""


def serve(
    settings: WatchObjects, http: httpx.Client, leaving: threading.Event
) -> tuple[ThreadingHTTPServer, list[Watcher]]:
    """Start the watches and the answering of scrapes, each in threads that end with the process."""
    watchers = [
        Watcher(Kept(resource, tell), path, http, settings, leaving)
        for resource, (path, tell) in families.OF.items()
    ]
    registry = CollectorRegistry(auto_describe=False)
    kept = [each.kept for each in watchers]
    registry.register(Objects(kept))
    about = {"kept": kept, "stale": settings.stale, "registry": registry}
    server = ThreadingHTTPServer(("", settings.port), type("Bound", (Handler,), about))
    server.daemon_threads = True
    for each in watchers:
        threading.Thread(target=each.run, name=each.kept.resource, daemon=True).start()
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server, watchers


def client() -> httpx.Client:
    """To the API server, as the pod's account."""
    host, port = common.env("KUBERNETES_SERVICE_HOST"), common.env("KUBERNETES_SERVICE_PORT")
    authority = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    return httpx.Client(base_url=f"https://{host}:{port}", verify=authority, trust_env=False)


def watch(settings: WatchObjects) -> dict[str, Any]:
    """Until told to end."""
    leaving = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    server, watchers = serve(settings, client(), leaving)
    log("watching", resources=",".join(families.OF), port=settings.port)
    leaving.wait()
    server.shutdown()
    for each in watchers:
        if each.broken is not None:
            raise each.broken
    return {each.kept.resource: len(each.kept.samples()) for each in watchers}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    common.run(lambda: watch(changed(getattr(config, arguments.config)(), arguments.set)))


if __name__ == "__main__":
    main()
