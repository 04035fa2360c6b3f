"""The plugin process: Pulumi's ResourceProvider protocol on a loopback port."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent import futures
from functools import wraps
from typing import Any, Final

import grpc
from google.protobuf import any_pb2, empty_pb2

from local.provider import VERSION, config, operations, secrets
from local.provider.check import check
from local.provider.diff import diff
from local.provider.engine import Engine
from local.provider.errors import NotReady, ProviderError
from local.provider.kinds import only_vendor, parse_urn
from local.provider.protocol import plugin, provider_grpc, status
from local.provider.protocol import provider as pb
from local.provider.session import Session, open_session
from local.provider.values import from_struct, plain, to_struct

_THREADS: Final = 512
"""Every operation that waits holds a thread; threads are made when they are needed."""
_PARENT_SECONDS: Final = 1.0
_GRACE_SECONDS: Final = 2.0
"""For operations that were cancelled to say what they have made."""
_ONE_MESSAGE: Final = 400 * 1024 * 1024

Method = Callable[..., Any]


def _answering(method: Method) -> Method:
    """Turn what an operation raises into what the engine understands; no traceback reaches a person."""

    @wraps(method)
    def wrapped(self: "Provider", request: Any, context: grpc.ServicerContext) -> Any:
        try:
            return method(self, request, context)
        except NotReady as error:
            _abort_not_ready(context, error, request)
        except (ProviderError, ValueError) as error:
            context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except Exception as error:
            name = (
                f"{type(error).__name__}: {error}"
                if os.environ.get("SEATRIAL_DEBUG")
                else type(error).__name__
            )
            context.abort(
                grpc.StatusCode.INTERNAL, f"a fault in the provider itself: {name} in {_where(error)}"
            )

    return wrapped


def _where(error: BaseException) -> str:
    """The place of a fault; its message may hold values and is left out."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return "an unknown place"
    return f"{trace.tb_frame.f_globals.get('__name__')}, line {trace.tb_lineno}"


def _abort_not_ready(context: grpc.ServicerContext, error: NotReady, request: Any) -> None:
    """The object exists: hand over its state with the error, so that the engine keeps it."""
    given = error.live.get("__inputs") or {}
    text = secrets.redact(str(error), given)
    reasons = [secrets.redact(reason, given) for reason in error.reasons] or [text]
    state = error.live
    detail = pb.ErrorResourceInitFailed(
        id=getattr(request, "id", "") or operations.identifier_of(state),
        properties=to_struct(state),
        reasons=reasons,
        inputs=None if error.inputs is None else to_struct(error.inputs),
    )
    packed = any_pb2.Any()
    packed.Pack(detail)
    message = "\n".join([text, *(f"  - {reason}" for reason in reasons if reason not in text)])
    details = status.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=message, details=[packed])
    context.set_trailing_metadata((("grpc-status-details-bin", details.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, message)


class Provider(provider_grpc.ResourceProviderServicer):  # type: ignore[misc]
    """One provider of a program; the engine starts a process for each."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._session: Session | None = None
        self._cancelled = threading.Event()

    @property
    def _configured(self) -> Session:
        if self._session is None:
            raise ProviderError("the provider has not been configured")
        return self._session

    @_answering
    def Handshake(self, request: Any, context: Any) -> Any:
        if request.engine_address:
            self._engine = Engine(request.engine_address)
        return pb.ProviderHandshakeResponse(accept_secrets=True, supports_autonaming_configuration=True)

    @_answering
    def Attach(self, request: Any, context: Any) -> Any:
        self._engine = Engine(request.address)
        return empty_pb2.Empty()

    @_answering
    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin.PluginInfo(version=VERSION)

    @_answering
    def GetSchema(self, request: Any, context: Any) -> Any:
        return pb.GetSchemaResponse(schema=json.dumps({"name": "kubernetes", "version": VERSION}))

    @_answering
    def CheckConfig(self, request: Any, context: Any) -> Any:
        return pb.CheckResponse(inputs=request.news, failures=config.check(plain(from_struct(request.news))))

    @_answering
    def DiffConfig(self, request: Any, context: Any) -> Any:
        olds = request.old_inputs if request.HasField("old_inputs") else request.olds
        return config.diff(from_struct(olds), from_struct(request.news))

    @_answering
    def Configure(self, request: Any, context: Any) -> Any:
        args = plain(from_struct(request.args)) if request.HasField("args") else _variables(request.variables)
        self._session = open_session(config.parse(args), self._engine)
        if self._cancelled.is_set():
            self._session.cancel()
        return pb.ConfigureResponse(
            acceptSecrets=True, supportsPreview=True, supports_autonaming_configuration=True
        )

    @_answering
    def Check(self, request: Any, context: Any) -> Any:
        resource = parse_urn(request.urn)
        inputs = check(
            self._configured, resource, from_struct(request.olds), from_struct(request.news), request
        )
        return pb.CheckResponse(inputs=to_struct(inputs))

    @_answering
    def Diff(self, request: Any, context: Any) -> Any:
        resource = parse_urn(request.urn)
        state, news = from_struct(request.olds), from_struct(request.news)
        return diff(self._configured, resource, state, news, list(request.ignoreChanges))

    @_answering
    def Create(self, request: Any, context: Any) -> Any:
        resource, inputs = parse_urn(request.urn), from_struct(request.properties)
        identifier, state = operations.create(
            self._configured, resource, inputs, request.timeout, bool(request.preview)
        )
        return pb.CreateResponse(id=identifier, properties=to_struct(state))

    @_answering
    def Read(self, request: Any, context: Any) -> Any:
        resource = parse_urn(request.urn)
        state, inputs = from_struct(request.properties), from_struct(request.inputs)
        found = operations.read(self._configured, resource, request.id, state, inputs)
        if found is None:
            return pb.ReadResponse()
        return pb.ReadResponse(id=request.id, properties=to_struct(found[0]), inputs=to_struct(found[1]))

    @_answering
    def Update(self, request: Any, context: Any) -> Any:
        state = operations.update(
            self._configured,
            parse_urn(request.urn),
            from_struct(request.olds),
            from_struct(request.news),
            request.timeout,
            list(request.ignoreChanges),
            bool(request.preview),
        )
        return pb.UpdateResponse(properties=to_struct(state))

    @_answering
    def Delete(self, request: Any, context: Any) -> Any:
        state = from_struct(request.properties)
        operations.delete(self._configured, parse_urn(request.urn), state, request.id, request.timeout)
        return empty_pb2.Empty()

    @_answering
    def Invoke(self, request: Any, context: Any) -> Any:
        raise ProviderError(only_vendor("functions that read charts and manifests", request.tok))

    @_answering
    def Construct(self, request: Any, context: Any) -> Any:
        raise ProviderError(only_vendor("chart, YAML and Kustomize components", request.type))

    @_answering
    def Cancel(self, request: Any, context: Any) -> Any:
        self.cancel()
        return empty_pb2.Empty()

    def cancel(self) -> None:
        """Let every operation end: those that wait keep what they have made."""
        self._cancelled.set()
        if self._session is not None:
            self._session.cancel()


def _variables(variables: Any) -> dict[str, str]:
    """The arguments as an engine sends them that knows no structured ones."""
    return {key.removeprefix("kubernetes:config:"): value for key, value in variables.items()}


def _serve(address: str) -> None:
    options = [
        ("grpc.max_receive_message_length", _ONE_MESSAGE),
        ("grpc.max_send_message_length", _ONE_MESSAGE),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(_THREADS), options=options)
    provider = Provider(Engine(address))
    provider_grpc.add_ResourceProviderServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    ended = threading.Event()

    def stop(*_: object) -> None:
        provider.cancel()
        ended.set()

    # The engine ends its plugins with SIGINT and waits for five seconds where one does not listen.
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    parent = os.getppid()
    # Who reads it may interrupt us, or die, at once.
    print(port, flush=True)
    while not ended.wait(_PARENT_SECONDS):
        if os.getppid() != parent:
            provider.cancel()
            break
    server.stop(_GRACE_SECONDS).wait()


def main() -> None:
    _serve(sys.argv[1] if len(sys.argv) > 1 else "")
    # Threads of operations that were given up must not hold the process.
    sys.stdout.flush()
    os._exit(0)
