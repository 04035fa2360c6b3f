"""The HTTP API: what Alertmanager sends, what was received, whether the heartbeat is there."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, generate_latest

from workloads.common import log
from workloads.receive_alerts.config import ReceiveAlerts
from workloads.receive_alerts.heart import Heart
from workloads.receive_alerts.schemas import Heartbeat, Kept, Notification
from workloads.receive_alerts.store import Store

RECEIVED = Counter("alerts_received_total", "Alerts that were received and kept.", ["alertname", "status"])
LAST_BEAT = Gauge("alerts_heartbeat_timestamp_seconds", "When the heartbeat arrived last.")
ALIVE = Gauge("alerts_watching_alive", "1 while the heartbeat arrives.")
LOOK_SECONDS = 1.0
MOST = 1000


@dataclass
class Receiver:
    """What answers a request needs."""

    settings: ReceiveAlerts
    store: Store
    heart: Heart

    def take(self, notification: Notification) -> None:
        """Keep it; the heartbeat is no news and only moves a clock.

        Raises:
            sqlite3.Error: it could not be kept.
        """
        beats = [each for each in notification.alerts if each.name == self.settings.heartbeat]
        news = [each for each in notification.alerts if each.name != self.settings.heartbeat]
        if any(each.status == "firing" for each in beats):
            self.heart.beat()
            self.store.beat(self.heart.now())
        elif beats:
            self.heart.end()
        if news:
            self.store.keep(news, self.heart.now())
        for each in news:
            RECEIVED.labels(each.name, each.status).inc()

    async def watch(self) -> None:
        """Look at the heartbeat until cancelled."""
        while True:
            await asyncio.to_thread(self.heart.look)
            state = self.heart.state()
            ALIVE.set(state.alive)
            LAST_BEAT.set(state.last or 0)
            await asyncio.sleep(LOOK_SECONDS)


def application(receiver: Receiver) -> FastAPI:
    """The receiver as an ASGI application."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = asyncio.create_task(receiver.watch())
        yield
        watch.cancel()
        with suppress(asyncio.CancelledError):
            await watch
        receiver.store.close()

    app = FastAPI(title="receive_alerts", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.add_exception_handler(sqlite3.Error, not_kept)
    _alerts(app, receiver)
    _operation(app, receiver)
    return app


async def not_kept(_: Request, error: Exception) -> JSONResponse:
    """Alertmanager sends again what was answered by 5xx."""
    log("not kept", cause=f"'{error}'")
    return JSONResponse({"detail": f"the alert was not kept: {error}"}, 503)


def _alerts(app: FastAPI, receiver: Receiver) -> None:
    @app.post("/v1/alerts")
    def take(notification: Notification) -> dict[str, int]:
        """A notification of Alertmanager; answered when it is on the disk."""
        receiver.take(notification)
        return {"received": len(notification.alerts)}

    @app.get("/v1/alerts")
    def find(
        since: Annotated[float, Query(description="seconds since 1970")] = 0.0,
        alertname: str | None = None,
        status: Literal["firing", "resolved"] | None = None,
        most: Annotated[int, Query(ge=1, le=MOST)] = 100,
    ) -> list[Kept]:
        """What was received, newest first."""
        return receiver.store.find(since, alertname, status, most)

    @app.get("/v1/heartbeat")
    def heartbeat(response: Response) -> Heartbeat:
        """503 when the watching is dead, for whoever looks from outside."""
        state = receiver.heart.state()
        response.status_code = 200 if state.alive else 503
        return state


def _operation(app: FastAPI, receiver: Receiver) -> None:
    @app.get("/healthz", include_in_schema=False)
    def health() -> dict[str, float]:
        return {"now": time.time()}

    @app.get("/readyz", include_in_schema=False)
    def ready() -> dict[str, Any]:
        """Whether the file can be read."""
        return {"last": receiver.store.last_beat()}

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
