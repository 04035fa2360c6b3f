"""A port on 127.0.0.1 that leads to a Service of the cluster, through the API server.

Each connection asks anew which pod is ready, so a forward outlives the pods behind it. The Kubernetes
client's own `portforward` is not used: when the far side closes it drops what it has not handed on yet, and
it replaces a method of the shared API client while it connects, which two threads at once do not survive.
"""

import socket
import socketserver
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from kubernetes import client as k8s
from kubernetes.stream import ws_client
from websocket import WebSocketException

from client.errors import ClientError

CHUNK = 1 << 16
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
    token = configuration.get_api_key_with_prefix("authorization")
    return ws_client.create_websocket(configuration, url, {"authorization": token} if token else None)


def pump(local: socket.socket, channel: Any) -> str:
    """Carry bytes both ways until one side closes; returns what the far side complained about."""
    upward = threading.Thread(target=_upward, args=(local, channel), daemon=True)
    upward.start()
    complaint = _downward(local, channel)
    for close in (lambda: local.shutdown(socket.SHUT_RDWR), channel.close):
        try:
            close()
        except OSError:
            pass  # It was closed from the other end.
    upward.join(timeout=5)
    return complaint


def _upward(local: socket.socket, channel: Any) -> None:
    try:
        while data := local.recv(CHUNK):
            channel.send_binary(bytes([DATA]) + data)
    except (OSError, WebSocketException):
        pass
    # The protocol knows no half-closed connection: when the client is done, so are we.
    try:
        channel.close()
    except (OSError, WebSocketException):
        pass


def _downward(local: socket.socket, channel: Any) -> str:
    greeted: set[int] = set()
    complaint = ""
    try:
        while True:
            frame = channel.recv()
            if not frame:
                break
            kind, data = frame[0], frame[1:]
            if kind not in greeted:
                greeted.add(kind)
            elif kind == DATA:
                local.sendall(data)
            elif kind == ERROR:
                complaint += data.decode(errors="replace")
                break
    except (OSError, WebSocketException):
        pass
    return complaint


class Forward:
    """Listens on a free port of 127.0.0.1 until it is closed."""

    def __init__(
        self, new_api: Callable[[], Any], namespace: str, service: str, port: int, local_port: int = 0
    ) -> None:
        self.namespace, self.service, self.port = namespace, service, port
        self.last_error = ""
        """Why the latest connection that failed did so."""
        self._new_api = new_api
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

    def _connect(self, patience: float = 30) -> Any:
        """A channel to a ready pod; a pod that goes away in between is replaced by the next."""
        api = self._new_api()
        deadline = time.monotonic() + patience
        while True:
            target = wait_for_target(api, self.namespace, self.service, self.port, patience)
            try:
                return open_channel(api, self.namespace, target)
            except (OSError, WebSocketException):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.25)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
