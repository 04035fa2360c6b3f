"""The booking service on a port of loopback, for tests that ask it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
import uvicorn
from psycopg.rows import dict_row

from tests.unit import postgres
from tests.unit.model_server import ModelServer
from workloads.booking_api import config
from workloads.booking_api.api import Service, application
from workloads.booking_api.database import Database
from workloads.booking_api.model import Model, Place

FLIGHT = {"carrier": "UA", "origin": "EWR", "dest": "IAH", "departure": "2013-01-01T05:15"}
PATIENCE = 60
"""Seconds for what is not expected to fail, on a machine that is busy."""
HOST = "delay.platform.test"
QUESTION = {"user": "u-1", **FLIGHT, "departure_delay": 2}


@dataclass
class Under:
    """The service under test, and what it stands on."""

    http: httpx.Client
    model: ModelServer
    url: str
    server: postgres.Server

    def quote(
        self, request_id: str | None = "r-1", tenant: str | None = None, **changes: Any
    ) -> httpx.Response:
        headers = {b"x-request-id": request_id.encode()} if request_id else {}
        headers |= {b"x-tenant": tenant.encode()} if tenant else {}
        return self.http.post("/v1/quotes", json=QUESTION | changes, headers=headers)

    def rows(self, sql: str = "SELECT * FROM predictions ORDER BY at") -> list[dict[str, Any]]:
        with psycopg.connect(self.url, row_factory=dict_row) as connection:
            return connection.execute(sql).fetchall()

    def metric(self, line: str) -> float:
        found = [each for each in self.http.get("/metrics").text.splitlines() if each.startswith(line + " ")]
        return float(found[0].split()[-1]) if found else 0.0


@contextmanager
def serving(
    server: postgres.Server,
    url: str,
    model: ModelServer,
    place: Place,
    divided: Any,
    changes: dict[str, Any],
    credential: str = "",
) -> Iterator[Under]:
    settings = config.BookingApi(
        **{"connections": 4, "model_seconds": PATIENCE, "database_seconds": PATIENCE} | changes
    )
    service = Service(
        settings,
        divided,
        Database(url, settings.connections, settings.database_seconds),
        Model(place, settings.model_seconds),
        credential,
    )
    with listening(application(service)) as address, httpx.Client(base_url=address, trust_env=False) as http:
        http.timeout = 2 * PATIENCE
        yield Under(http, model, url, server)


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """The application on a port of loopback; its address."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on"))
        thread = threading.Thread(target=server.run, args=([door],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
