"""The HTTP API: takes alerts from Alertmanager, shows the trail, health and metrics."""

import hmac
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import ValidationError

from react import metrics
from react.alertmanager import Payload
from react.trail import Trail, TrailAway
from workloads.common import log

MOST_BYTES = 4 << 20
"""Of a request: some ten thousand alerts."""


def application(trail: Trail, token: str, wake: Callable[[], None], alive: Callable[[], bool]) -> FastAPI:
    """The API; `wake` is called when alerts were stored, `alive` says whether somebody judges them."""
    # The pages that would show the API bring scripts from elsewhere; /openapi.json is there.
    app = FastAPI(title="react", docs_url=None, redoc_url=None)
    app.add_exception_handler(TrailAway, _away)
    _alerts(app, trail, token, wake)
    _reactions(app, trail, token)
    _operation(app, trail, alive)
    return app


async def _away(_: Request, error: Exception) -> JSONResponse:
    """Nothing was stored: Alertmanager sends it again. The log alone has the database's own words."""
    log("the database is away", cause=f"'{error}'")
    return JSONResponse({"detail": "the database does not answer"}, 503, {"retry-after": "5"})


def _require(request: Request, token: str) -> None:
    """Refuse who does not show the token.

    Raises:
        HTTPException: 401.
    """
    given = request.headers.get("authorization", "")
    if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise HTTPException(401, "show the token of Secret react-token", {"www-authenticate": "Bearer"})


async def _body(request: Request) -> bytes:
    """All of it.

    Raises:
        HTTPException: 413.
    """
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            raise HTTPException(413, f"a request may have {MOST_BYTES} bytes")
    return found


def _alerts(app: FastAPI, trail: Trail, token: str, wake: Callable[[], None]) -> None:
    @app.post("/alerts")
    async def alerts(request: Request) -> dict[str, int]:
        """Store what Alertmanager says, and only then answer."""
        try:
            _require(request, token)
            payload = _parse(await _body(request))
        except HTTPException as refused:
            metrics.REFUSED.labels(refused.status_code).inc()
            raise
        if payload.truncated:
            log("alerts were left out by Alertmanager", truncated=payload.truncated)
        now = trail.clock()
        await run_in_threadpool(trail.tell, [(each.alert(now), each.annotations) for each in payload.alerts])
        for each in payload.alerts:
            metrics.ALERTS.labels(each.status).inc()
        wake()
        return {"stored": len(payload.alerts)}


def _parse(body: bytes) -> Payload:
    """The payload.

    Raises:
        HTTPException: 422, with what is wrong where.
    """
    try:
        return Payload.model_validate_json(body)
    except ValidationError as error:
        causes = [{"loc": each["loc"], "msg": each["msg"], "type": each["type"]} for each in error.errors()]
        raise HTTPException(422, causes) from None


def _reactions(app: FastAPI, trail: Trail, token: str) -> None:
    @app.get("/v1/reactions")
    def reactions(
        request: Request,
        model: str | None = None,
        before: Annotated[int | None, Query(ge=0, le=2**63 - 1)] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> dict[str, Any]:
        """The trail, the newest first; go on with the last id as `before`."""
        _require(request, token)
        if model is not None and "\0" in model:
            raise HTTPException(422, "model has a character that no name has")
        rows = trail.latest(limit, model=model, before=before)
        steps = trail.steps([row.id for row in rows])
        return {"reactions": [{**asdict(row), "steps": steps[row.id]} for row in rows]}


def _operation(app: FastAPI, trail: Trail, alive: Callable[[], bool]) -> None:
    @app.get("/healthz")
    def healthz() -> Any:
        """Somebody judges the alerts that are stored."""
        if alive():
            return {"status": "alive"}
        return JSONResponse({"status": "nobody judges the alerts"}, 503)

    @app.get("/readyz")
    def readyz() -> dict[str, str]:
        """Alerts can be stored."""
        trail.open()
        return {"status": "ready"}

    @app.get("/metrics")
    def prometheus() -> Response:
        """For Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
