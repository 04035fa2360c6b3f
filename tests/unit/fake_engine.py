"""The engine's side of Pulumi's protocol, as far as a program without resources needs it."""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import (
    engine_pb2,
    engine_pb2_grpc,
    resource_pb2,
    resource_pb2_grpc,
)


class Engine(engine_pb2_grpc.EngineServicer, resource_pb2_grpc.ResourceMonitorServicer):
    """Keeps what a program says and exports."""

    def __init__(self) -> None:
        self.address = ""
        self.said: list[tuple[int, str]] = []
        self.outputs: dict[str, Any] = {}

    def errors(self) -> str:
        return "\n".join(text for severity, text in self.said if severity == engine_pb2.ERROR)

    def Log(self, request: Any, _context: Any) -> Any:
        self.said.append((request.severity, request.message))
        return empty_pb2.Empty()

    def SetRootResource(self, _request: Any, _context: Any) -> Any:
        return engine_pb2.SetRootResourceResponse()

    def SupportsFeature(self, _request: Any, _context: Any) -> Any:
        return resource_pb2.SupportsFeatureResponse(hasSupport=False)

    def RegisterResource(self, request: Any, _context: Any) -> Any:
        return resource_pb2.RegisterResourceResponse(urn=f"urn:pulumi:s::p::{request.type}::{request.name}")

    def RegisterResourceOutputs(self, request: Any, _context: Any) -> Any:
        self.outputs = dict(request.outputs)
        return empty_pb2.Empty()

    def SignalAndWaitForShutdown(self, _request: Any, _context: Any) -> Any:
        return empty_pb2.Empty()


@contextlib.contextmanager
def serving() -> Iterator[Engine]:
    engine = Engine()
    server = grpc.server(ThreadPoolExecutor(8))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    resource_pb2_grpc.add_ResourceMonitorServicer_to_server(engine, server)
    engine.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield engine
    finally:
        server.stop(None)
