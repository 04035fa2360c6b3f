"""What the model is told about a flight, looked up by what the passenger knows of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from workloads.booking_api.database import Database

WEATHER = ("temp", "humid", "wind_speed", "precip", "visib", "pressure")
_WEATHER = ", ".join(f"coalesce(w.{name}, c.{name}) AS {name}" for name in WEATHER)
LOOK_UP = f"""
SELECT r.distance, {_WEATHER}
FROM routes r
JOIN airports a ON a.faa = r.origin
JOIN climate c ON c.origin = r.origin
    AND c.month = extract(month FROM %(departure)s::timestamp)
    AND c.hour = extract(hour FROM %(departure)s::timestamp)
LEFT JOIN weather w ON w.origin = r.origin
    AND w.hour = date_trunc('hour', %(departure)s::timestamp AT TIME ZONE a.tzone)
WHERE r.carrier = %(carrier)s AND r.origin = %(origin)s AND r.dest = %(dest)s
"""
KNOWN = """
SELECT
    EXISTS (SELECT FROM airlines WHERE carrier = %(carrier)s) AS carrier,
    EXISTS (SELECT FROM routes WHERE origin = %(origin)s) AS origin,
    EXISTS (SELECT FROM routes WHERE dest = %(dest)s) AS dest
"""


class UnknownFlight(Exception):
    """There is no such flight, for the reason given."""


@dataclass(frozen=True)
class Flight:
    """What is asked about."""

    carrier: str
    origin: str
    dest: str
    departure: datetime
    """As scheduled, by the clock at the origin."""
    departure_delay: float
    """Minutes by which the airline is late already, or says that it will be; less than 0 when early."""

    def given(self) -> dict[str, Any]:
        """The features that the passenger gave, as the model calls them."""
        at = self.departure
        return {
            "year": at.year, "month": at.month, "day": at.day, "hour": at.hour, "minute": at.minute,
            "carrier": self.carrier, "origin": self.origin, "dest": self.dest,
            "dep_delay": float(self.departure_delay),
        }  # fmt: skip


async def features(database: Database, flight: Flight) -> dict[str, Any]:
    """All features of the model: those that were given, the distance (miles), and the weather at the origin.

    The weather is what was observed in the hour of departure, or else what it usually is at that time of year
    and day.

    Raises:
        UnknownFlight: the airline does not fly there.
    """
    asked = {
        "carrier": flight.carrier,
        "origin": flight.origin,
        "dest": flight.dest,
        "departure": flight.departure,
    }
    found = await database.rows(LOOK_UP, asked)
    if not found:
        raise UnknownFlight(await _what_is_unknown(database, flight, asked))
    return flight.given() | found[0]


async def _what_is_unknown(database: Database, flight: Flight, asked: dict[str, Any]) -> str:
    (known,) = await database.rows(KNOWN, asked)
    unknown = [f"{name} '{asked[name]}'" for name, is_known in known.items() if not is_known]
    if unknown:
        return f"nothing is known of {', '.join(unknown)}"
    return f"{flight.carrier} does not fly from {flight.origin} to {flight.dest}"


async def loaded(database: Database) -> bool:
    """Whether the facts are there."""
    return bool(await database.rows("SELECT FROM loaded"))
