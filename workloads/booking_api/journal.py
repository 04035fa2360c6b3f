"""The log of predictions and of what came of them, in PostgreSQL.

A prediction is committed before it is answered: what a passenger was told can always be looked up, and a
crash loses at most requests that nobody got an answer to (README.md has what that costs). Every statement can
be repeated without an effect.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from workloads.booking_api.database import Connection, Database

FIND = """
SELECT request_id, tenant, at, model, version, experiment, variant, user_key, features, score, decision, price
FROM predictions WHERE request_id = %(request_id)s
"""
KEEP = """
INSERT INTO predictions
    (request_id, tenant, model, version, experiment, variant, user_key, features, score, decision, price)
VALUES (%(request_id)s, %(tenant)s, %(model)s, %(version)s, %(experiment)s, %(variant)s, %(user_key)s,
    %(features)s::jsonb, %(score)s, %(decision)s, %(price)s)
ON CONFLICT (request_id) DO NOTHING
RETURNING at
"""
MAY = "(%(operator)s::boolean OR p.tenant IS NOT DISTINCT FROM %(tenant)s::text)"
"""Whether who asks may know and say what came of a prediction `p`."""
GIVEN = """
unnest(%(ids)s::text[], %(outcomes)s::double precision[], %(sources)s::text[])
    AS given (request_id, outcome, source)
"""
UNKNOWN = f"""
SELECT request_id FROM {GIVEN}
WHERE NOT EXISTS (
    SELECT FROM predictions p WHERE p.request_id = given.request_id AND {MAY}
)
"""
"""By the index: NOT IN would read the whole log for each list of outcomes."""
RECORD = f"""
INSERT INTO outcomes (request_id, outcome, source, tenant)
SELECT request_id, outcome, source, %(tenant)s::text FROM {GIVEN}
ON CONFLICT (request_id) DO NOTHING
"""
DIFFERENT = f"""
SELECT request_id, there.outcome FROM outcomes there JOIN {GIVEN} USING (request_id)
WHERE there.outcome <> given.outcome
"""


@dataclass(frozen=True)
class Prediction:
    """What was foretold to whom, by which version of the model, and what was offered."""

    request_id: str
    tenant: str | None
    """Who sent the request; None where it did not come through the Gateway."""
    model: str
    version: str
    experiment: str | None
    variant: str | None
    user_key: str
    features: dict[str, Any]
    score: float
    decision: str
    price: Decimal
    at: datetime | None = None
    """When it was logged; the database's clock."""


@dataclass(frozen=True)
class Outcome:
    """What came of a prediction: 1 where the flight was late, 0 where it was not."""

    request_id: str
    outcome: float
    source: str


@dataclass(frozen=True)
class Teller:
    """Who tells, corrects or reads outcomes."""

    tenant: str | None
    """None where the request did not come through the Gateway."""
    operator: bool = False
    """May do so for the quotes of every tenant."""


class UnknownPredictions(Exception):
    """No prediction that the teller may tell of has these request ids."""


class OtherOutcome(Exception):
    """Something else is recorded already."""


async def find(database: Database, request_id: str) -> Prediction | None:
    """The logged prediction of a request."""
    found = await database.rows(FIND, {"request_id": request_id})
    return Prediction(**found[0]) if found else None


async def keep(database: Database, prediction: Prediction) -> tuple[Prediction, bool]:
    """Log a prediction; returns what is logged for that request, and whether it is this one: another may have
    come first.
    """
    row = asdict(prediction) | {"features": json.dumps(prediction.features)}
    new = await database.rows(KEEP, row)
    if new:
        return replace(prediction, at=new[0]["at"]), True
    found = await find(database, prediction.request_id)
    assert found is not None, "rows are never deleted"
    return found, False


async def record(database: Database, outcomes: Sequence[Outcome], teller: Teller) -> int:
    """Record outcomes, all or none, and who told them; returns how many are new.

    They decide which version gets the traffic, and the first one counts: of a tenant's predictions only the
    tenant may tell them, or an operator. Another's look like none, so that nobody learns which ids there are.

    Raises:
        UnknownPredictions: some belong to no prediction that the teller may tell of.
        OtherOutcome: for some another outcome is there.
    """
    given = {
        **asdict(teller),
        "ids": [each.request_id for each in outcomes],
        "outcomes": [each.outcome for each in outcomes],
        "sources": [each.source for each in outcomes],
    }

    async def work(connection: Connection) -> int:
        async with connection.transaction():
            unknown = await (await connection.execute(UNKNOWN, given)).fetchall()
            if unknown:
                raise UnknownPredictions(several("no prediction has the request id", unknown))
            new = (await connection.execute(RECORD, given)).rowcount
            different = await (await connection.execute(DIFFERENT, given)).fetchall()
            if different:
                raise OtherOutcome(several("another outcome is recorded for the request id", different))
            return new

    return await database.run(work)


def several(what: str, rows: Sequence[dict[str, Any]], shown: int = 5) -> str:
    """`what` and the request ids of the rows, of many only the first."""
    named = ", ".join(str(row["request_id"]) for row in rows[:shown])
    return f"{what} {named}" + (f" and {len(rows) - shown} more" if len(rows) > shown else "")
