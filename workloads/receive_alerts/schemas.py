"""What Alertmanager sends (its webhook, version 4), and what the receiver answers."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field, StringConstraints

Labels = dict[str, str]


class Alert(BaseModel):
    """One alert of a notification."""

    status: Literal["firing", "resolved"]
    labels: Annotated[Labels, Field(min_length=1)]
    annotations: Labels = {}
    startsAt: datetime
    endsAt: datetime
    """The year 1 while it fires."""
    generatorURL: str = ""
    fingerprint: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,32}$")]

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")


class Notification(BaseModel):
    """All alerts of one group, those told before included."""

    version: Literal["4"]
    status: Literal["firing", "resolved"]
    receiver: str
    alerts: Annotated[list[Alert], Field(min_length=1, max_length=10_000)]


class Kept(BaseModel):
    """An alert that fired or was resolved, as it was received."""

    alertname: str
    status: str
    received: float
    """Seconds since 1970, when it was received first."""
    times: int
    """How often it was received."""
    starts_at: datetime
    ends_at: datetime | None
    fingerprint: str
    labels: Labels
    annotations: Labels


class Heartbeat(BaseModel):
    """Whether the watching is alive."""

    alive: bool
    last: float | None
    """Seconds since 1970, when the heartbeat arrived last; null if it never did."""
    silence_seconds: float
    """How long it may be missing."""
