"""What Prometheus reads of a served model. Series carry the model's name and version."""

import time
from asyncio import CancelledError
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_OF = ("model", "version")
CANCELLED = 499
"""The code of a request that was cancelled by who asked: no failure of the version's."""

REQUESTS = Counter(
    "model_requests", "Answered requests; a gRPC status as its HTTP code.", (*_OF, "protocol", "code")
)
SECONDS = Histogram(
    "model_request_seconds", "From the request's arrival to its answer.", _OF, buckets=_BUCKETS
)
REFUSED = Counter("model_refused", "Requests that did not fit the signature.", (*_OF, "reason"))
PREDICTIONS = Counter("model_predictions", "Times the model was called.", _OF)
IN_FLIGHT = Gauge("model_requests_in_flight", "Requests that are being answered.", _OF)


class Answer:
    """How a request ended."""

    code = 500


class Series:
    """The series of one served model."""

    def __init__(self, model: str, version: str) -> None:
        self._of = (model, version)
        self.predictions = PREDICTIONS.labels(*self._of)
        self._seconds = SECONDS.labels(*self._of)
        self._in_flight = IN_FLIGHT.labels(*self._of)

    def refused(self, reason: str) -> None:
        """Count a request that did not fit."""
        REFUSED.labels(*self._of, reason).inc()

    @contextmanager
    def request(self, protocol: str) -> Iterator[Answer]:
        """Count one request and take its time; the caller sets the code."""
        answer, began = Answer(), time.perf_counter()
        self._in_flight.inc()
        try:
            yield answer
        except CancelledError:
            answer.code = CANCELLED
            raise
        finally:
            self._in_flight.dec()
            self._seconds.observe(time.perf_counter() - began)
            REQUESTS.labels(*self._of, protocol, str(answer.code)).inc()
