"""A port on 127.0.0.1 that leads to a Service of the cluster, through the API server.

Each connection asks anew which pod is ready, so a forward outlives the pods behind it. The Kubernetes
client's own `portforward` is not used: when the far side closes it drops what it has not handed on yet, and
it replaces a method of the shared API client while it connects, which two threads at once do not survive.
"""

import select
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kubernetes import client as k8s
from kubernetes.stream import ws_client
from websocket import WebSocketException

from client.errors import ClientError
from client.objects import bearer

CHUNK = 1 << 16
PATIENCE = 20.0
"""Seconds for which a connection waits for a pod that restarts."""
TRUST = 2.0
"""Seconds for which a pod that was ready is taken to be still there."""
DATA, ERROR = 0, 1
"""Channels of the port-forward protocol; the first frame of each names the port and carries nothing else."""


class Target(NamedTuple):
    """A ready pod and the port in it."""

    pod: str
    port: int


def ready_target(api: Any, namespace: str, service: str, port: int) -> Target | None:
    """A ready pod behind the Service, and the container's port that `port` of the Service leads to."""
    found = k8s.CoreV1Api(api).read_namespaced_service(service, namespace)
    names = [entry.name or "" for entry in found.spec.ports if entry.port == port]
    if not names:
        offered = ", ".join(str(entry.port) for entry in found.spec.ports)
        raise ClientError(
            f"service {namespace}/{service} has no port {port}", f"use one of its ports: {offered}"
        )
    slices = k8s.DiscoveryV1Api(api).list_namespaced_endpoint_slice(
        namespace, label_selector=f"kubernetes.io/service-name={service}"
    )
    for item in slices.items:
        ports = [entry.port for entry in item.ports or [] if (entry.name or "") == names[0]]
        for endpoint in item.endpoints or []:
            if ports and endpoint.conditions.ready and endpoint.target_ref:
                return Target(endpoint.target_ref.name, ports[0])
    return None


def wait_for_target(api: Any, namespace: str, service: str, port: int, patience: float) -> Target:
    """A ready pod, waited for while one restarts."""
    deadline = time.monotonic() + patience
    while True:
        target = ready_target(api, namespace, service, port)
        if target:
            return target
        if time.monotonic() > deadline:
            raise ClientError(
                f"no pod behind service {namespace}/{service} is ready",
                f"look at its pods: kubectl -n {namespace} get pods",
            )
        time.sleep(0.25)


def open_channel(api: Any, namespace: str, target: Target) -> Any:
    """A websocket to the pod's port."""
    configuration = api.configuration
    url = ws_client.get_websocket_url(
        f"{configuration.host}/api/v1/namespaces/{namespace}/pods/{target.pod}/portforward",
        [("ports", str(target.port))],
    )
    token = bearer(api)
    return ws_client.create_websocket(configuration, url, {"authorization": token} if token else None)


def pump(local: socket.socket, channel: Any) -> str:
    """Carry bytes both ways until one side closes; returns what the far side complained about.

    One thread does both: a TLS connection must not be read and written at the same time.
    """
    greeted: set[int] = set()
    ready = select.poll()
    ready.register(local, select.POLLIN)
    ready.register(channel.sock, select.POLLIN)
    try:
        while True:
            descriptors = {descriptor for descriptor, _ in ready.poll()}
            if channel.sock.fileno() in descriptors:
                complaint = _downward(local, channel, greeted)
                if complaint is not None:
                    return complaint
            if local.fileno() in descriptors and not _upward(local, channel):
                return ""
    except (OSError, WebSocketException):
        return ""  # One side is gone; the other learns it by the close below.
    finally:
        channel.close(timeout=1)


def _upward(local: socket.socket, channel: Any) -> bool:
    """Hand on what the client sent; False when it is done (the protocol knows no half-closed connection)."""
    data = local.recv(CHUNK)
    if data:
        channel.send_binary(bytes([DATA]) + data)
    return bool(data)


def _downward(local: socket.socket, channel: Any, greeted: set[int]) -> str | None:
    """Hand on every frame that is there; a string (why, or nothing) when the far side has ended."""
    while True:
        frame = channel.recv()
        if not frame:
            return ""
        kind, data = frame[0], frame[1:]
        if kind not in greeted:
            greeted.add(kind)
        elif kind == DATA:
            local.sendall(data)
        elif kind == ERROR:
            return str(data.decode(errors="replace"))
        # TLS may hold more than poll can see.
        if not (isinstance(channel.sock, ssl.SSLSocket) and channel.sock.pending()):
            return None


class Forward:
    """Listens on a free port of 127.0.0.1 until it is closed."""

    def __init__(
        self, new_api: Callable[[], Any], namespace: str, service: str, port: int, local_port: int = 0
    ) -> None:
        self.namespace, self.service, self.port = namespace, service, port
        self.last_error = ""
        """Why the latest connection that failed did so."""
        self._new_api = new_api
        self._known: tuple[Target, float] | None = None
        forward = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                forward._carry(self.request)

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True
            request_queue_size = 64
            block_on_close = False

        try:
            self._server = Server(("127.0.0.1", local_port), Handler)
        except OSError as error:
            raise ClientError(
                f"port {local_port} of 127.0.0.1 cannot be used: {error.strerror}",
                "choose another port, or none",
            ) from error
        self.local_port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _carry(self, local: socket.socket) -> None:
        local.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            complaint = pump(local, self._connect())
        except Exception as error:
            complaint = str(error)
        if complaint:
            self.last_error = complaint
            self._known = None

    def _connect(self, patience: float = PATIENCE) -> Any:
        """A channel to a ready pod; a pod that goes away in between is replaced by the next."""
        api = self._new_api()
        deadline = time.monotonic() + patience
        while True:
            target = self._target(api, patience)
            try:
                return open_channel(api, self.namespace, target)
            except (OSError, WebSocketException):
                self._known = None
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.25)

    def _target(self, api: Any, patience: float) -> Target:
        """The pod that was ready a moment ago, or whichever is ready now."""
        if self._known is None or time.monotonic() > self._known[1] + TRUST:
            found = wait_for_target(api, self.namespace, self.service, self.port, patience)
            self._known = (found, time.monotonic())
        return self._known[0]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
