"""The settings of the service: how a risk becomes a decision, and how long it waits for others."""

import re
from dataclasses import dataclass

from workloads.common import HopelessError

CREDENTIAL_HEADER = "x-gateway-credential"
"""By which the Gateway shows a request's backend that it came through it."""
TENANTS = re.compile(r"([a-z][a-z0-9-]*(,[a-z][a-z0-9-]*)*)?")
"""Names, separated by commas."""


@dataclass(frozen=True)
class BookingApi:
    """What is decided at which risk, and what bounds a request."""

    rebook_at: float = 0.5
    """From this risk on a passenger is offered another flight for nothing; the model's own threshold."""
    payout: float = 100.0
    """What the insurance pays for a flight that arrives more than 15 minutes late."""
    loading: float = 1.25
    """The price of the insurance, as a multiple of what it is expected to pay."""
    least_price: float = 3.0
    currency: str = "USD"
    model_seconds: float = 2.0
    """Time for the model to answer in."""
    database_seconds: float = 2.0
    """Time for each use of the database."""
    start_seconds: float = 60.0
    """How long a start waits for the database."""
    connections: int = 8
    """To the database, at most, of each pod."""
    operators: str = ""
    """Tenants, as `desk,claims`, that may tell, correct and read outcomes of everybody's quotes; others may
    those of their own.
    """
    port: int = 8080

    def __post_init__(self) -> None:
        for name in ("payout", "loading", "model_seconds", "database_seconds", "start_seconds"):
            if not getattr(self, name) > 0:
                raise HopelessError(f"setting {name} must be more than 0, it is {getattr(self, name)}")
        if not 0 < self.rebook_at <= 1:
            raise HopelessError(f"setting rebook_at must be within (0, 1], it is {self.rebook_at}")
        if self.connections < 1:
            raise HopelessError(f"setting connections must be at least 1, it is {self.connections}")
        if not TENANTS.fullmatch(self.operators):
            raise HopelessError(
                f"setting operators must be names of tenants such as desk,claims, it is {self.operators!r}"
            )

    def operates(self, tenant: str | None) -> bool:
        """Whether this tenant may do with outcomes what only the quote's own tenant may otherwise."""
        return bool(tenant) and tenant in self.operators.split(",")


def reference() -> BookingApi:
    """A pod for some hundred quotes a second."""
    return BookingApi()


def tiny() -> BookingApi:
    """For trying the way itself: one connection, so that requests wait for each other."""
    return BookingApi(connections=1)
