"""V2 over gRPC: KServe's service, which names the version in each answer."""

from typing import Any

from grpc import StatusCode, aio
from kserve.errors import InvalidInput, ModelNotFound, ModelNotReady
from kserve.protocol.grpc import grpc_predict_v2_pb2_grpc as stubs
from kserve.protocol.grpc.interceptors import ExceptionToStatusInterceptor
from kserve.protocol.grpc.servicer import InferenceServicer

from .metrics import Series
from .served import Fixed, Plane, Served

MOST_BYTES = 64 << 20
"""Of one message."""


class Rpc:
    """The server on one port."""

    def __init__(self, served: Served, plane: Plane, series: Series, port: int) -> None:
        self._servicer = Servicer(served, plane, series)
        self._port = port
        self._server: Any = None

    async def start(self) -> None:
        limits = [(f"grpc.max_{way}_message_length", MOST_BYTES) for way in ("receive", "send")]
        self._server = aio.server(interceptors=(Refusing(),), options=limits)
        stubs.add_GRPCInferenceServiceServicer_to_server(self._servicer, self._server)
        self._server.add_insecure_port(f"[::]:{self._port}")
        await self._server.start()

    async def end(self, grace: float) -> None:
        """Take no more calls, finish what is under way."""
        await self._server.stop(grace)


class Servicer(InferenceServicer):
    """KServe's, with the version in the initial metadata and each call counted."""

    def __init__(self, served: Served, plane: Plane, series: Series) -> None:
        super().__init__(plane, Fixed(plane.model_registry))
        self._version, self._series = served.version, series

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        given = dict(context.invocation_metadata() or ())
        told = {"x-model-version": self._version, "x-request-id": given.get("x-request-id")}
        await context.send_initial_metadata(tuple((key, value) for key, value in told.items() if value))
        with self._series.request("grpc") as answer:
            try:
                made = await super().ModelInfer(request, context)
            except Exception as error:
                answer.code = _code(error)
                raise
            answer.code = 200
            return made


class Refusing(ExceptionToStatusInterceptor):
    """As KServe's, but that a request which does not fit is not worth a stack trace in the log."""

    async def handle_exception(self, ex: Exception, request: Any, context: Any, method: str) -> None:
        if isinstance(ex, InvalidInput):
            await context.abort(StatusCode.INVALID_ARGUMENT, str(ex))
        await super().handle_exception(ex, request, context, method)


def _code(error: Exception) -> int:
    """The HTTP code that says the same."""
    codes = {InvalidInput: 400, ModelNotFound: 404, ModelNotReady: 503}
    return next((code for kind, code in codes.items() if isinstance(error, kind)), 500)
