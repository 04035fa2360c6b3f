"""The business rule: what a passenger is offered, by the risk that the flight is late.

Below `rebook_at` a delay insurance is offered, at the price of what it is expected to pay and a loading:
`max(least_price, loading · payout · risk)`. From there on no insurance is sold against what will probably
happen; another flight is offered for nothing.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from workloads.booking_api.config import BookingApi

REBOOKING, INSURANCE = "rebooking", "insurance"
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Decision:
    """What is offered, and for how much of the settings' currency."""

    decision: str
    price: Decimal


def decide(settings: BookingApi, risk: float) -> Decision:
    """The offer for a flight that is late with probability `risk`."""
    if risk >= settings.rebook_at:
        return Decision(REBOOKING, Decimal("0.00"))
    least, loading, payout, chance = (
        Decimal(repr(each)) for each in (settings.least_price, settings.loading, settings.payout, risk)
    )
    price = max(least, loading * payout * chance)
    return Decision(INSURANCE, price.quantize(CENT, ROUND_HALF_UP))
