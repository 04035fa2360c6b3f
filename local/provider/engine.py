"""Messages to the engine: lines in the person's terminal, beside the resource that they are about."""

import threading

import grpc

from local.provider.protocol import engine as pb
from local.provider.protocol import engine_grpc

_SECONDS = 5.0


class Engine:
    """The engine's log. Talking to it never fails an operation."""

    def __init__(self, address: str) -> None:
        self._stub = None
        if address:
            self._stub = engine_grpc.EngineStub(grpc.insecure_channel(address))
        self._said: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def status(self, urn: str, message: str) -> None:
        """What is going on now, in the resource's line; an empty message clears it."""
        self._log(pb.INFO, urn, message, ephemeral=True)

    def info(self, urn: str, message: str) -> None:
        self._log(pb.INFO, urn, message)

    def warn(self, urn: str, message: str) -> None:
        """A warning, once per resource."""
        with self._lock:
            known = (urn, message) in self._said
            self._said.add((urn, message))
        if not known:
            self._log(pb.WARNING, urn, message)

    def _log(self, severity: int, urn: str, message: str, ephemeral: bool = False) -> None:
        if self._stub is None:
            return
        request = pb.LogRequest(severity=severity, message=message, urn=urn, ephemeral=ephemeral)
        try:
            self._stub.Log(request, timeout=_SECONDS)
        except grpc.RpcError:
            pass  # the engine is going away, and with it the reader of this line
