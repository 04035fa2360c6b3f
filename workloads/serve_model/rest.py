"""V1 and V2 over HTTP: KServe's endpoints in an application of ours, whose answers name the version."""

from contextlib import nullcontext
from typing import Any

import uvicorn
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from kserve.errors import InvalidInput, ModelNotFound, ServerNotReady
from kserve.protocol.rest.server import RESTServer

from .metrics import Series
from .served import Fixed, Plane, Served

KEEP_ALIVE = 3700
"""Seconds that an idle connection is kept: longer than by a proxy, which would else meet a closed one."""
VERSION_HEADER, ID_HEADER = b"x-model-version", b"x-request-id"
_EXPECTED = {InvalidInput: 400, ModelNotFound: 404, ServerNotReady: 503}
"""What KServe answers too, but with a stack trace in the log each time."""


class Rest(RESTServer):
    """KServe's server with our application; it ends when it is told to, not by a signal."""

    def __init__(self, served: Served, plane: Plane, series: Series, port: int, grace: int) -> None:
        self._app = FastAPI(title=f"{served.name}, version {served.version}", redoc_url=None, docs_url=None)
        super().__init__(
            self._app,
            plane,
            Fixed(plane.model_registry),
            port,
            grace_period=grace,
            timeout_keep_alive=KEEP_ALIVE,
        )
        # A line for each request costs more than the rest of the server.
        self.config = uvicorn.Config(
            Told(self._app, served.version, series),
            host="0.0.0.0",
            port=port,
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=grace,
            timeout_keep_alive=KEEP_ALIVE,
        )
        self._server = uvicorn.Server(self.config)
        self._server.capture_signals = nullcontext  # type: ignore[method-assign]
        self._served = served

    def create_application(self) -> None:
        self._app.add_api_route("/", self._about, methods=["GET"])
        self._register_endpoints(self._app)
        self._add_exception_handlers(self._app)
        for kind in _EXPECTED:
            self._app.add_exception_handler(kind, _refuse)
        self._app.add_exception_handler(RequestValidationError, _refuse_form)

    async def _about(self) -> dict[str, Any]:
        """What is served, by the files themselves."""
        served = self._served
        return {
            "model": served.name,
            "version": served.version,
            "digest": served.loaded.digest,
            "run_id": served.loaded.run_id,
            "flavors": served.loaded.flavors,
        }

    def end(self) -> None:
        """Close the port, finish what is under way."""
        self._server.should_exit = True


async def _refuse(_: Request, error: Exception) -> JSONResponse:
    return JSONResponse(status_code=_EXPECTED[type(error)], content={"error": str(error)})


async def _refuse_form(_: Request, error: Exception) -> JSONResponse:
    """What is no request of the protocol V2 at all."""
    assert isinstance(error, RequestValidationError)
    # FastAPI tells apart what the body is not: a JSON request, or bytes.
    said = [
        f"{'.'.join(map(str, each['loc'][2:])) or 'body'}: {each['msg']}"
        for each in error.errors()
        if each["loc"][-1] != "bytes"
    ]
    told = f"this is no request of the protocol V2: {'; '.join(said[:5])}"
    return JSONResponse(status_code=400, content={"error": told})


class Told:
    """Adds the version and the request's id to each answer, and counts those to predictions."""

    def __init__(self, app: Any, version: str, series: Series) -> None:
        self._app, self._version, self._series = app, version.encode(), series

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        told = [(VERSION_HEADER, self._version)]
        told += [pair for pair in scope["headers"] if pair[0] == ID_HEADER]
        protocol = _protocol(scope)

        async def answer(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *told]
                if counted is not None:
                    counted.code = message["status"]
            await send(message)

        with self._series.request(protocol) if protocol else nullcontext() as counted:
            await self._app(scope, receive, answer)


def _protocol(scope: Any) -> str | None:
    """Of a request for a prediction; None for any other."""
    path = scope["path"]
    if scope["method"] != "POST":
        return None
    if path.startswith("/v1/models/") and path.endswith(":predict"):
        return "v1"
    return "v2" if path.startswith("/v2/models/") and path.endswith("/infer") else None
