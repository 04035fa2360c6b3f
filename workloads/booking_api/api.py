"""The HTTP API: quotes, outcomes, health and metrics."""

import hmac
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Path, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from workloads.booking_api import corrections, flights, journal, metrics
from workloads.booking_api.config import CREDENTIAL_HEADER, BookingApi
from workloads.booking_api.database import Database, DatabaseAway
from workloads.booking_api.experiment import Experiment
from workloads.booking_api.model import Model, ModelAway, ModelUnusable
from workloads.booking_api.rule import decide
from workloads.booking_api.schemas import (
    Corrected,
    Corrections,
    Known,
    Outcomes,
    Question,
    Quote,
    QuoteId,
    Recorded,
    Revision,
)
from workloads.common import log

TENANT_HEADER = "x-tenant"
"""Whose request it is. The Gateway writes it, and drops what a client writes there."""
CODES: dict[type[Exception], tuple[int, str]] = {
    DatabaseAway: (503, "database"),
    ModelAway: (503, "model"),
    ModelUnusable: (502, "model"),
    flights.UnknownFlight: (422, ""),
    journal.UnknownPredictions: (404, ""),
    journal.OtherOutcome: (409, ""),
}
"""The status of each refusal, and whose failure it is where it is not the caller's."""


@dataclass
class Service:
    """What answers a request needs."""

    settings: BookingApi
    experiment: Experiment | None
    database: Database
    model: Model
    credential: str = ""
    """Shown by the Gateway alone; empty where whoever asks is believed."""
    has_facts: bool = False

    async def ready(self) -> bool:
        """Whether the facts are there. Once they are, they stay.

        Nothing else is asked: without the model, or the database, each pod says why it cannot answer. Were
        they all taken out of the Service instead, nobody could say anything.
        """
        self.has_facts = self.has_facts or await flights.loaded(self.database)
        return self.has_facts

    def teller(self, tenant: str | None) -> journal.Teller:
        """What this tenant may do with outcomes."""
        return journal.Teller(tenant, self.settings.operates(tenant))

    async def quote(self, request_id: str, question: Question, tenant: str | None) -> journal.Prediction:
        """The logged answer to a question; a question that was answered before is not asked again.

        Raises:
            HTTPException: the request id is that of another question or tenant, or the facts are not loaded
                yet.
        """
        logged = await journal.find(self.database, request_id)
        if logged is None:
            logged = await self._answer(request_id, question, tenant)
        if not question.is_that_of(logged, tenant):
            raise HTTPException(409, f"the request id {request_id} is that of another question")
        return logged

    async def _answer(self, request_id: str, question: Question, tenant: str | None) -> journal.Prediction:
        if not await self.ready():
            raise HTTPException(
                503, "what is to be known about flights is not loaded yet", {"retry-after": "5"}
            )
        features = await flights.features(self.database, question.flight())
        arm = self.experiment.arm_of(question.user) if self.experiment else None
        answer = await self.model.ask(features, request_id, arm)
        offer = decide(self.settings, answer.score)
        prediction = journal.Prediction(
            request_id=request_id,
            tenant=tenant,
            model=self.model.name,
            version=answer.version,
            experiment=self.experiment.name if self.experiment else None,
            variant=arm,
            user_key=question.user,
            features=features,
            score=answer.score,
            decision=offer.decision,
            price=offer.price,
        )
        logged, new = await journal.keep(self.database, prediction)
        if new:
            metrics.QUOTES.labels(logged.version, logged.variant or "", logged.decision).inc()
        return logged


def application(service: Service) -> FastAPI:
    """The service as an ASGI application; its start opens the connections and its end closes them."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await service.database.open()
        yield
        await service.model.close()
        await service.database.close()

    # The pages that would show the API bring scripts from elsewhere; /openapi.json is there.
    app = FastAPI(title="booking_api", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.credential = service.credential
    app.add_middleware(metrics.Counted)
    app.add_exception_handler(RequestValidationError, senseless)
    for kind in CODES:
        app.add_exception_handler(kind, refused)
    _business(app, service)
    _corrections(app, service)
    _operation(app, service)
    return app


async def refused(request: Request, error: Exception) -> JSONResponse:
    """Say why, with the status that fits."""
    status, culprit = CODES[type(error)]
    if culprit:
        metrics.FAILURES.labels(culprit).inc()
        # The log alone has the database's own words.
        words = f": {error.__cause__}" if isinstance(error, DatabaseAway) else ""
        log("failed", request_id=request.state.request_id, status=status, cause=f"'{error}{words}'")
    headers = {"retry-after": "1"} if status == 503 else None
    return JSONResponse({"detail": str(error)}, status, headers)


async def senseless(_: Request, error: Exception) -> JSONResponse:
    """Say what is wrong where. FastAPI's own answer repeats what was given, and fails if that is infinite."""
    assert isinstance(error, RequestValidationError)
    causes = [{"loc": each["loc"], "msg": each["msg"], "type": each["type"]} for each in error.errors()]
    return JSONResponse({"detail": causes}, 422)


def request_id(request: Request) -> str:
    """The caller's id of the request, or a new one."""
    found: str | None = request.state.request_id
    if found is None:
        raise HTTPException(422, "x-request-id must be 1 to 128 letters, digits or . _ : -")
    return found


def tenant(request: Request) -> str | None:
    """Who sent the request; None where it did not come through the Gateway, whatever it says."""
    shown, expected = request.headers.get(CREDENTIAL_HEADER, ""), request.app.state.credential
    if expected and not hmac.compare_digest(shown.encode(), expected.encode()):
        return None
    return request.headers.get(TENANT_HEADER)


RequestId = Annotated[str, Depends(request_id)]
Tenant = Annotated[str | None, Depends(tenant)]
OfQuote = Annotated[QuoteId, Path(alias="request_id")]
"""Of the quote; `RequestId` is that of the request itself."""


def _business(app: FastAPI, service: Service) -> None:
    @app.post("/v1/quotes")
    async def quotes(question: Question, request_id: RequestId, tenant: Tenant) -> Quote:
        """The risk of a delay and an offer. The same request id gives the same answer, however often."""
        return Quote.of(await service.quote(request_id, question, tenant), service.settings.currency)

    @app.post("/v1/outcomes")
    async def outcomes(given: Outcomes, request_id: RequestId, tenant: Tenant) -> Recorded:
        """Record what came of the tenant's quotes, or of everybody's for an operator: one, or a list of them,
        all or none.
        """
        entries = [journal.Outcome(each.request_id, each.outcome, each.source) for each in given]
        new = await journal.record(service.database, entries, service.teller(tenant))
        return Recorded(recorded=new, unchanged=len(entries) - new)


def _corrections(app: FastAPI, service: Service) -> None:
    async def correct(entries: list[corrections.Correction], tenant: str | None) -> Corrected:
        changed = await corrections.correct(service.database, entries, service.teller(tenant))
        return Corrected(corrected=changed, unchanged=len(entries) - changed)

    @app.put("/v1/outcomes")
    async def many(given: Corrections, _: RequestId, tenant: Tenant) -> Corrected:
        """Correct outcomes that were told, all or none."""
        return await correct([corrections.Correction(**each.model_dump()) for each in given], tenant)

    @app.put("/v1/outcomes/{request_id}")
    async def one(quote: OfQuote, given: Revision, _: RequestId, tenant: Tenant) -> Corrected:
        """Correct the outcome of a quote."""
        return await correct([corrections.Correction(request_id=quote, **given.model_dump())], tenant)

    @app.get("/v1/outcomes/{request_id}")
    async def told(quote: OfQuote, _: RequestId, tenant: Tenant) -> Known:
        """The present outcome of a quote and its corrections."""
        return Known(**await corrections.history(service.database, quote, service.teller(tenant)))


def _operation(app: FastAPI, service: Service) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers."""
        return {"status": "alive"}

    @app.get("/readyz")
    async def readyz() -> Any:
        """The service can answer quotes."""
        try:
            ready, cause = await service.ready(), "the facts are not loaded yet"
        except DatabaseAway as away:
            ready, cause = False, str(away)
        return {"status": "ready"} if ready else JSONResponse({"status": cause}, 503)

    @app.get("/metrics")
    async def prometheus() -> Response:
        """For Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
