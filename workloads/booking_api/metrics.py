"""What the service counts, and the layer that counts requests and gives each an id."""

import re
import time
import uuid
from typing import Any

from prometheus_client import Counter, Gauge, Histogram

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
REQUESTS = Counter("booking_requests_total", "Answered requests.", ["route", "code"])
REQUEST_SECONDS = Histogram("booking_request_seconds", "From request to answer.", ["route"], buckets=SECONDS)
IN_FLIGHT = Gauge("booking_in_flight", "Requests that are being answered now.")
QUOTES = Counter("booking_quotes_total", "Quotes that were logged.", ["version", "variant", "decision"])
MODEL_SECONDS = Histogram(
    "booking_model_seconds", "Until the model answered.", ["version", "variant"], buckets=SECONDS
)
FAILURES = Counter("booking_failures_total", "Requests that failed because of others.", ["of"])

ID_HEADER = b"x-request-id"
ID = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
API = "/v1/"
"""Requests below it are counted; probes and scrapes are not what a pod is scaled for."""


class Counted:
    """ASGI: counts the requests of the API. Each has an id, the caller's or a new one, that its answer shows.

    `state["request_id"]` is None where the caller gave one that cannot be used.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(API):
            await self.app(scope, receive, send)
            return
        given = dict(scope["headers"]).get(ID_HEADER, uuid.uuid4().hex.encode())
        fits = ID.fullmatch(given) is not None
        scope.setdefault("state", {})["request_id"] = given.decode() if fits else None
        code, began = 500, time.perf_counter()

        async def tell(message: Any) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                if fits:
                    message["headers"] = [*message.get("headers", []), (ID_HEADER, given)]
            await send(message)

        with IN_FLIGHT.track_inprogress():
            try:
                await self.app(scope, receive, tell)
            finally:
                route = getattr(scope.get("route"), "path", "none")
                REQUESTS.labels(route, code).inc()
                REQUEST_SECONDS.labels(route).observe(time.perf_counter() - began)
