"""A provider plugin in a process of its own, spoken to as the engine does: over its gRPC protocol only.

`SEATRIAL_PROVIDER=path` names another plugin to run the same tests against, for instance the official one.
"""

import os
import subprocess
import sys
import threading
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import (
    engine_pb2_grpc,
    plugin_pb2,
    provider_pb2,
    provider_pb2_grpc,
    status_pb2,
)

ROOT = Path(__file__).resolve().parents[2]
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_SIGNATURE, _SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
Object = dict[str, Any]


def secret(value: Any) -> Object:
    return {_SIGNATURE: _SECRET, "value": value}


def is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(_SIGNATURE) == _SECRET


def revealed(value: Any) -> Any:
    """The value without its secret wrappers."""
    if is_secret(value):
        return revealed(value["value"])
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    return [revealed(item) for item in value] if isinstance(value, list) else value


class Refused(Exception):
    """An error of the plugin; `state` is there when the object exists nevertheless."""

    def __init__(self, error: grpc.RpcError) -> None:
        super().__init__(error.details())
        self.message: str = error.details()
        self.reasons: list[str] = []
        self.state: Object | None = None
        self.inputs: Object | None = None
        self.id = ""
        for key, value in error.trailing_metadata() or ():
            if key == "grpc-status-details-bin":
                self._unpack(status_pb2.Status.FromString(value))

    def _unpack(self, status: Any) -> None:
        detail = provider_pb2.ErrorResourceInitFailed()
        for packed in status.details:
            if packed.Unpack(detail):
                self.state, self.reasons, self.id = _dict(detail.properties), list(detail.reasons), detail.id
                self.inputs = _dict(detail.inputs) if detail.HasField("inputs") else None

    @property
    def text(self) -> str:
        return "\n".join([self.message, *self.reasons])


@dataclass
class Made:
    """What the engine keeps of a resource."""

    urn: str
    id: str
    inputs: Object
    state: Object


class _Engine(engine_pb2_grpc.EngineServicer):
    """The engine's side: keeps what the plugin logs."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str, bool]] = []

    def Log(self, request: Any, context: Any) -> Any:
        self.lines.append((request.urn, request.message, request.ephemeral))
        return empty_pb2.Empty()


def command() -> list[str]:
    other = os.environ.get("SEATRIAL_PROVIDER")
    return [other] if other else [sys.executable, "-m", "local.provider"]


@dataclass
class Plugin:
    """One configured plugin process. Use as a context manager."""

    args: Object
    env: dict[str, str] = field(default_factory=dict)

    def __enter__(self) -> "Plugin":
        self._engine = _Engine()
        self._engine_server = grpc.server(futures.ThreadPoolExecutor(4))
        engine_pb2_grpc.add_EngineServicer_to_server(self._engine, self._engine_server)
        address = f"127.0.0.1:{self._engine_server.add_insecure_port('127.0.0.1:0')}"
        self._engine_server.start()
        env = {key: value for key, value in os.environ.items() if key != "KUBECONFIG"} | self.env
        self.process = subprocess.Popen(
            [*command(), address],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=env,
        )
        try:
            self._connect()
        except BaseException:
            self._stop()
            raise
        return self

    def _connect(self) -> None:
        assert self.process.stdout is not None
        port = self.process.stdout.readline().strip()
        if not port:
            raise AssertionError(f"the plugin did not start: {self._stop()}")
        self._channel = grpc.insecure_channel(f"127.0.0.1:{port}")
        self.rpc = provider_pb2_grpc.ResourceProviderStub(self._channel)
        self.failures = self.check_config(self.args)
        if not self.failures:
            self.configure(self.args)

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _stop(self) -> str:
        if self.process.poll() is None:
            self.process.kill()
        _, errors = self.process.communicate(timeout=20)
        self._engine_server.stop(None)
        return errors

    def logged(self, urn: str = "") -> str:
        return "\n".join(text for about, text, _ in self._engine.lines if urn in ("", about))

    def check_config(self, args: Object) -> dict[str, str]:
        request = provider_pb2.CheckRequest(urn=_provider_urn(), news=_struct(args))
        return {entry.property: entry.reason for entry in self._call("CheckConfig", request).failures}

    def diff_config(self, olds: Object, news: Object) -> Any:
        request = provider_pb2.DiffRequest(
            urn=_provider_urn(), olds=_struct(olds), old_inputs=_struct(olds), news=_struct(news)
        )
        return self._call("DiffConfig", request)

    def configure(self, args: Object) -> Any:
        variables = {f"kubernetes:config:{key}": _variable(value) for key, value in args.items()}
        request = provider_pb2.ConfigureRequest(
            variables=variables,
            args=_struct(args),
            acceptSecrets=True,
            acceptResources=False,
            sends_old_inputs=True,
        )
        return self._call("Configure", request)

    def check(self, urn: str, news: Object, olds: Object | None = None, **more: Any) -> Object:
        request = provider_pb2.CheckRequest(urn=urn, news=_struct(news), olds=_struct(olds or {}), **more)
        response = self._call("Check", request)
        if response.failures:
            raise AssertionError(str(response.failures))
        return _dict(response.inputs)

    def create(self, token: str, news: Object, name: str = "thing", timeout: float = 60) -> Made:
        urn = urn_of(token, name)
        inputs = self.check(urn, news)
        request = provider_pb2.CreateRequest(urn=urn, properties=_struct(inputs), timeout=timeout)
        try:
            response = self._call("Create", request)
        except Refused as error:
            error.inputs = inputs
            raise
        return Made(urn, response.id, inputs, _dict(response.properties))

    def preview_create(self, token: str, news: Object, name: str = "thing") -> Object:
        urn = urn_of(token, name)
        request = provider_pb2.CreateRequest(urn=urn, properties=_struct(self.check(urn, news)), preview=True)
        return _dict(self._call("Create", request).properties)

    def diff(self, made: Made, news: Object, ignore: tuple[str, ...] = ()) -> Any:
        request = provider_pb2.DiffRequest(
            id=made.id,
            urn=made.urn,
            olds=_struct(made.state),
            old_inputs=_struct(made.inputs),
            news=_struct(self.check(made.urn, news, made.inputs)),
            ignoreChanges=ignore,
        )
        return self._call("Diff", request)

    def update(
        self,
        made: Made,
        news: Object,
        timeout: float = 60,
        preview: bool = False,
        ignore: tuple[str, ...] = (),
    ) -> Made:
        inputs = self.check(made.urn, news, made.inputs)
        request = provider_pb2.UpdateRequest(
            id=made.id,
            urn=made.urn,
            olds=_struct(made.state),
            old_inputs=_struct(made.inputs),
            news=_struct(inputs),
            timeout=timeout,
            preview=preview,
            ignoreChanges=ignore,
        )
        return Made(made.urn, made.id, inputs, _dict(self._call("Update", request).properties))

    def read(self, made: Made) -> Made | None:
        """What a refresh does."""
        return self._read(made.urn, made.id, made.state, made.inputs)

    def import_(self, token: str, id: str) -> Made | None:
        return self._read(urn_of(token, "imported"), id, {}, {})

    def _read(self, urn: str, id: str, state: Object, inputs: Object) -> Made | None:
        request = provider_pb2.ReadRequest(id=id, urn=urn, properties=_struct(state), inputs=_struct(inputs))
        response = self._call("Read", request)
        return (
            Made(urn, response.id, _dict(response.inputs), _dict(response.properties))
            if response.id
            else None
        )

    def delete(self, made: Made, timeout: float = 60) -> None:
        request = provider_pb2.DeleteRequest(
            id=made.id,
            urn=made.urn,
            properties=_struct(made.state),
            old_inputs=_struct(made.inputs),
            timeout=timeout,
        )
        self._call("Delete", request)

    def version(self) -> str:
        return self.rpc.GetPluginInfo(empty_pb2.Empty()).version

    def cancel(self) -> None:
        self.rpc.Cancel(empty_pb2.Empty())

    def meanwhile(self, work: Any, *args: Any, **kwargs: Any) -> "Meanwhile":
        """Do something with the plugin in another thread, for what it waits for must be made here."""
        return Meanwhile(work, args, kwargs)

    def _call(self, method: str, request: Any) -> Any:
        try:
            return getattr(self.rpc, method)(request, timeout=120)
        except grpc.RpcError as error:
            raise Refused(error) from None


class Meanwhile:
    """A call under way; `result` waits for it."""

    def __init__(self, work: Any, args: Any, kwargs: Any) -> None:
        self._future: futures.Future = futures.Future()
        self._thread = threading.Thread(target=self._run, args=(work, args, kwargs), daemon=True)
        self._thread.start()

    def _run(self, work: Any, args: Any, kwargs: Any) -> None:
        try:
            self._future.set_result(work(*args, **kwargs))
        except BaseException as error:
            self._future.set_exception(error)

    @property
    def done(self) -> bool:
        return self._future.done()

    def result(self) -> Any:
        return self._future.result(timeout=120)


def urn_of(token: str, name: str) -> str:
    return f"urn:pulumi:test::project::{token}::{name}"


def _provider_urn() -> str:
    return urn_of("pulumi:providers:kubernetes", "k8s")


def _variable(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else value


def _struct(fields: Object) -> struct_pb2.Struct:
    return json_format.ParseDict(fields, struct_pb2.Struct())


def _dict(struct: struct_pb2.Struct) -> Object:
    return _whole(json_format.MessageToDict(struct))


def _whole(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_whole(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


__all__ = ["UNKNOWN", "Made", "Plugin", "Refused", "is_secret", "plugin_pb2", "revealed", "secret", "urn_of"]
