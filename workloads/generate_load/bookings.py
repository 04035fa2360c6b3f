"""What passengers ask the booking service: real flights, and whether they arrived late."""

import json
import random
from dataclasses import dataclass
from typing import Any

from workloads.ingest_flights.config import FLIGHTS
from workloads.ingest_flights.main import read_source

USERS = 5000
LATE = 15
"""Minutes: a flight that arrives later than that is late."""
ANNOUNCED = (-120, 2880)
"""Minutes of delay that the service takes."""


@dataclass(frozen=True)
class Booking:
    """A question, and what came of the flight."""

    question: dict[str, Any]
    """The body of POST /v1/quotes."""
    late: bool


def sample(count: int, seed: int) -> list[Booking]:
    """Flights of 2013 that flew, drawn evenly with a user each; the same for the same seed.

    Their departure delay, which the airline has announced by then, is part of the question.
    """
    dice, lines = random.Random(seed), read_source(FLIGHTS).splitlines()
    found: list[Booking] = []
    while len(found) < count:
        line = lines[dice.randrange(1, len(lines))].decode()
        flight = dict(zip(FLIGHTS.columns, line.split(","), strict=True))
        if flight["arr_delay"] != "NA":
            found.append(booking(flight, dice))
    return found


def booking(flight: dict[str, str], dice: random.Random) -> Booking:
    day = f"{flight['year']}-{int(flight['month']):02}-{int(flight['day']):02}"
    hour, minute = divmod(int(flight["sched_dep_time"]), 100)
    low, high = ANNOUNCED
    question = {
        "user": f"u-{dice.randrange(USERS)}",
        "carrier": flight["carrier"],
        "origin": flight["origin"],
        "dest": flight["dest"],
        "departure": f"{day}T{hour:02}:{minute:02}",
        "departure_delay": min(max(int(flight["dep_delay"]), low), high),
    }
    return Booking(question, int(flight["arr_delay"]) > LATE)


def bodies(count: int, seed: int) -> tuple[bytes, ...]:
    """Questions as a plan sends them."""
    return tuple(json.dumps(each.question).encode() for each in sample(count, seed))
