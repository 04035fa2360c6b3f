"""Tell Prometheus what the driver says of this machine's GPUs, under DCGM's names.

    python -m workloads.watch_gpus.main --bare --port 9400

needs nvidia-ml-py, prometheus-client and NVIDIA's driver, and nothing of a platform. What a GPU does not tell
is left out, with its reason in `watch_gpus_untold`; where no GPU can be asked, `/metrics` answers 503.
"""

import argparse
import importlib
import os
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from workloads import common
from workloads.common import HopelessError, log
from workloads.settings import changed
from workloads.watch_gpus import config, fields
from workloads.watch_gpus.config import WatchGpus

TEXT = "text/plain; version=0.0.4; charset=utf-8"
UNTOLD = "watch_gpus_untold"


class Unanswered(Exception):
    """No GPU can be asked, for a reason that may pass."""


class Driver:
    """NVML, begun anew after it failed: a driver may be loaded after the program, or be replaced."""

    def __init__(self, hostname: str) -> None:
        self._hostname, self._lock = hostname, threading.Lock()
        self._nvml: Any = None

    def ask(self) -> list[tuple[dict[str, str], dict[str, float | str]]]:
        """For each GPU its names and what it tells.

        Raises:
            Unanswered: there is no NVML, no driver, no GPU, or one of them was lost.
        """
        with self._lock:
            try:
                nvml = self._begun()
            except ImportError as error:
                raise Unanswered(f"nvidia-ml-py is missing: {error}") from None
            except Exception as error:
                raise Unanswered(f"{type(error).__name__}: {error}") from None
            try:
                return self._all(nvml)
            except nvml.NVMLError as error:
                self._nvml = None
                nvml.nvmlShutdown()
                raise Unanswered(f"{type(error).__name__}: {error}") from None

    def _begun(self) -> Any:
        if self._nvml is None:
            nvml = importlib.import_module("pynvml")
            nvml.nvmlInit()
            self._nvml = nvml
        return self._nvml

    def _all(self, nvml: Any) -> list[tuple[dict[str, str], dict[str, float | str]]]:
        found = []
        for number in range(nvml.nvmlDeviceGetCount()):
            gpu = nvml.nvmlDeviceGetHandleByIndex(number)
            names = fields.labels(nvml, gpu, number, self._hostname)
            found.append((names, dict(fields.told(nvml, gpu))))
        if not found:
            raise Unanswered("the driver knows no GPU")
        return found


class Gpus(Collector):
    """What was told in one scrape."""

    def __init__(self, told: list[tuple[dict[str, str], dict[str, float | str]]]) -> None:
        self._told = told

    def collect(self) -> Any:
        for name, field in fields.FIELDS.items():
            # DCGM's counters have no `_total` at their end, which Metric would demand of a counter.
            metric = Metric(name, field.about, "gauge" if field.kind == "gauge" else "unknown")
            for labels, values in self._told:
                if isinstance(value := values[name], float):
                    metric.add_sample(name, labels, value)
            if metric.samples:
                yield metric
        untold = Metric(UNTOLD, "Fields that a GPU does not tell, with the driver's reason.", "gauge")
        for labels, values in self._told:
            for name, value in values.items():
                if isinstance(value, str):
                    untold.add_sample(UNTOLD, {**labels, "field": name, "reason": value}, 1)
        yield untold


class Handler(BaseHTTPRequestHandler):
    """`/metrics` and `/readyz` answer 503 with the reason while no GPU can be asked; `/livez` answers."""

    driver: Driver

    def do_GET(self) -> None:
        if self.path == "/livez":
            self._answer(200, b"ok")
            return
        if self.path not in ("/metrics", "/readyz"):
            self._answer(404, b"/metrics, /readyz, /livez")
            return
        try:
            told = self.driver.ask()
        except Unanswered as reason:
            self._answer(503, str(reason).encode())
            return
        registry = CollectorRegistry(auto_describe=False)
        registry.register(Gpus(told))
        self._answer(200, generate_latest(registry) if self.path == "/metrics" else b"ok")

    def _answer(self, code: int, body: bytes) -> None:
        self.send_response(code)
        self.send_header("Content-Type", TEXT)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """A line for each scrape would hide the rest."""


def serve(settings: WatchGpus, driver: Driver) -> ThreadingHTTPServer:
    """Start answering, in threads that end with the process."""
    server = ThreadingHTTPServer(("", settings.port), type("Bound", (Handler,), {"driver": driver}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="http", daemon=True).start()
    return server


def watch(settings: WatchGpus, bare: bool) -> dict[str, Any]:
    """Until told to end. Bare, a machine without a GPU is an error; in a pod one waits for the driver."""
    driver = Driver(os.environ.get("NODE_NAME") or socket.gethostname())
    try:
        there = [names["modelName"] for names, _ in driver.ask()]
    except Unanswered as reason:
        if bare:
            raise HopelessError(f"no GPU can be asked: {reason}") from None
        log("no GPU can be asked yet", reason=reason)
        there = []
    leaving = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: leaving.set())
    server = serve(settings, driver)
    log("answering", port=server.server_address[1], gpus=", ".join(there) or "none yet")
    leaving.wait()
    server.shutdown()
    return {"gpus": len(there)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--port", type=int, help="the same as --set port=PORT")
    parser.add_argument("--bare", action="store_true", help="on a machine, without a platform")
    arguments = parser.parse_args()
    assignments = [*arguments.set, *([] if arguments.port is None else [f"port={arguments.port}"])]
    common.run(lambda: watch(changed(getattr(config, arguments.config)(), assignments), arguments.bare))


if __name__ == "__main__":
    main()
