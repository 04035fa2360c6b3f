"""Stands for a served model in tests of what uses one: answers as it is told, and keeps what it was asked."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def features(self) -> dict[str, Any]:
        return {each["name"]: each["data"][0] for each in self.body["inputs"]}


@dataclass
class ModelServer:
    """What it answers, and what it was asked."""

    url: str
    score: Any = 0.25
    version: str = "3"
    status: int = 200
    body: bytes | None = None
    """Instead of an answer of the protocol."""
    seconds: float = 0
    """It waits so long first."""
    drip: float = 0
    """Seconds between two bytes of its answer."""
    asked: list[Asked] = field(default_factory=list)
    hosts: list[str | None] = field(default_factory=list)
    """Names that TLS connections asked for."""

    def answer(self) -> bytes:
        if self.body is not None:
            return self.body
        output = {"name": "late_probability", "datatype": "FP32", "shape": [1], "data": [self.score]}
        return json.dumps({"model_name": "delay", "outputs": [output]}).encode()


@contextmanager
def running(tls: Path | None = None) -> Iterator[ModelServer]:
    """A server on loopback; with TLS where a file with its key and certificate is given."""
    told: list[ModelServer] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            (model,) = told
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            model.asked.append(Asked(self.path, headers, body))
            time.sleep(model.seconds)
            answer = model.answer()
            self.send_response(model.status)
            if model.version:
                self.send_header("x-model-version", model.version)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            for byte in answer if model.drip else ():
                self.wfile.write(bytes([byte]))
                time.sleep(model.drip)
            if not model.drip:
                self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        scheme = "http" if tls is None else "https"
        told.append(ModelServer(f"{scheme}://127.0.0.1:{server.server_address[1]}"))
        if tls is not None:
            server.socket = secured(server.socket, tls, told[0])
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield told[0]
        server.shutdown()


def secured(door: socket.socket, tls: Path, model: ModelServer) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls)
    context.sni_callback = lambda _, name, __: model.hosts.append(name)
    # Else one client that does not trust it would hold the door for all.
    return context.wrap_socket(door, server_side=True, do_handshake_on_connect=False)
