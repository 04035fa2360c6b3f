"""What the API takes and gives."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NaiveDatetime,
    field_validator,
)

from workloads.booking_api import journal
from workloads.booking_api.flights import Flight

OUTCOMES_AT_ONCE = 1000
Told = TypeVar("Told", "Outcome", "Correction")
Airport = Annotated[str, Field(pattern=r"^[A-Z0-9]{3}$", examples=["EWR"])]
QuoteId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,128}$")]
"""As `x-request-id` may be."""
Text = Annotated[str, Field(pattern=r"^[^\x00]+$")]
"""Something that PostgreSQL can keep."""


class Question(BaseModel):
    """A passenger asks about a flight."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    user: Annotated[Text, Field(max_length=128, examples=["u-17"])]
    """Who asks; experiments divide by it."""
    carrier: Annotated[str, Field(pattern=r"^[A-Z0-9]{2}$", examples=["UA"])]
    origin: Airport
    dest: Airport
    departure: NaiveDatetime = Field(examples=["2013-07-04T05:15"])
    """As scheduled, by the clock at the origin."""
    departure_delay: float = Field(default=0, ge=-120, le=2880, allow_inf_nan=False)
    """Minutes by which the airline is late already, or says that it will be."""

    @field_validator("departure")
    @classmethod
    def _a_year_that_flights_have(cls, departure: datetime) -> datetime:
        if not 2000 <= departure.year < 2100:
            raise ValueError(f"the year must be within 2000 and 2099, it is {departure.year}")
        return departure

    def flight(self) -> Flight:
        """What is asked about, without who asks."""
        return Flight(self.carrier, self.origin, self.dest, self.departure, self.departure_delay)

    def is_that_of(self, logged: journal.Prediction, tenant: str | None) -> bool:
        """Whether a logged prediction answers this question, which the tenant asks."""
        given = self.flight().given()
        same = {name: logged.features.get(name) for name in given} == given
        return same and (logged.tenant, logged.user_key) == (tenant, self.user)


class Quote(BaseModel):
    """The risk that the flight arrives more than 15 minutes late, and what is offered."""

    request_id: str
    at: datetime
    score: float
    decision: Literal["rebooking", "insurance"]
    price: float
    currency: str
    model: str
    model_version: str
    experiment: str | None
    variant: str | None

    @classmethod
    def of(cls, logged: journal.Prediction, currency: str) -> "Quote":
        """As it was logged."""
        return cls(
            request_id=logged.request_id, at=logged.at, score=logged.score, decision=logged.decision,
            price=float(logged.price), currency=currency, model=logged.model, model_version=logged.version,
            experiment=logged.experiment, variant=logged.variant,
        )  # fmt: skip


class Outcome(BaseModel):
    """What came of a quote: 1 where the flight arrived more than 15 minutes late, 0 where it did not."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    request_id: Annotated[Text, Field(max_length=128)]
    outcome: float = Field(ge=0, le=1, allow_inf_nan=False)
    source: Annotated[Text, Field(max_length=64, examples=["arrivals"])]
    """Who says so."""


def _listed(given: Any) -> Any:
    return given if isinstance(given, list) else [given]


def _once_each(outcomes: list[Told]) -> list[Told]:
    counts = Counter(each.request_id for each in outcomes)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ValueError(f"more than one outcome is given for {', '.join(twice[:5])}")
    return outcomes


Outcomes = Annotated[
    list[Outcome],
    Field(min_length=1, max_length=OUTCOMES_AT_ONCE),
    AfterValidator(_once_each),
    BeforeValidator(_listed, json_schema_input_type=Outcome | list[Outcome]),
]


class Revision(BaseModel):
    """What an outcome is instead, who says so, and why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: float = Field(ge=0, le=1, allow_inf_nan=False)
    source: Annotated[Text, Field(max_length=64, examples=["airline"])]
    reason: Annotated[Text, Field(max_length=500, examples=["the gate was misread"])]


class Correction(Revision):
    """A correction in a list of them."""

    request_id: QuoteId


Corrections = Annotated[
    list[Correction], Field(min_length=1, max_length=OUTCOMES_AT_ONCE), AfterValidator(_once_each)
]


class Corrected(BaseModel):
    """How many outcomes changed, and how many were so already."""

    corrected: int
    unchanged: int


class Change(BaseModel):
    """One correction: what was there, what came in its place, who said so, and why."""

    number: int
    """Of the quote's corrections, from 1."""
    at: datetime
    old_outcome: float
    old_source: str
    outcome: float
    source: str
    reason: str
    corrected_by: str | None
    """The tenant, as the Gateway says; None of one that came past it, and of those from before."""


class Known(BaseModel):
    """The present outcome of a quote and how it came about."""

    request_id: str
    outcome: float
    source: str
    known_at: datetime
    """When the first one was told; corrections leave it."""
    told_by: str | None
    """The tenant that told the first one: the quote's own, or an operator."""
    history: list[Change]
    """From the first correction to the last."""


class Recorded(BaseModel):
    """How many outcomes are new, and how many were there."""

    recorded: int
    unchanged: int
