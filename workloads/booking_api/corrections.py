"""Corrections of outcomes, with their history.

The row of `outcomes` has the present value and keeps its `at`, when an outcome was first known: who reads
`scored` counts a corrected prediction once, in the place that it had. So does its `tenant`, who told it
first; who corrected it is with the correction.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from workloads.booking_api.database import Connection, Database
from workloads.booking_api.journal import MAY, Teller, UnknownPredictions, several

MINE = f"""
SELECT o.request_id FROM outcomes o JOIN predictions p USING (request_id)
WHERE o.request_id = ANY(%(ids)s::text[]) AND {MAY}
ORDER BY o.request_id FOR UPDATE OF o
"""
"""What may be corrected, locked until this is done: corrections of one outcome take turns, and are numbered
in that order. Rows are locked in one order, so that no two lists wait for each other.
"""
CORRECT = """
WITH different AS (
    SELECT given.*, there.outcome AS old_outcome, there.source AS old_source
    FROM unnest(%(ids)s::text[], %(outcomes)s::double precision[], %(sources)s::text[], %(reasons)s::text[])
        AS given (request_id, outcome, source, reason)
    JOIN outcomes there USING (request_id)
    WHERE (there.outcome, there.source) <> (given.outcome, given.source)
), changed AS (
    UPDATE outcomes o SET outcome = d.outcome, source = d.source FROM different d
    WHERE o.request_id = d.request_id
)
INSERT INTO outcome_changes (request_id, number, old_outcome, old_source, outcome, source, reason, tenant)
SELECT request_id, 1 + (SELECT count(*) FROM outcome_changes c WHERE c.request_id = d.request_id),
    old_outcome, old_source, outcome, source, reason, %(tenant)s::text
FROM different d
"""
PRESENT = f"""
SELECT o.request_id, o.outcome, o.source, o.at AS known_at, o.tenant AS told_by
FROM outcomes o JOIN predictions p USING (request_id)
WHERE o.request_id = %(id)s AND {MAY}
"""
HISTORY = """
SELECT number, at, old_outcome, old_source, outcome, source, reason, tenant AS corrected_by
FROM outcome_changes
WHERE request_id = %(id)s ORDER BY number
"""


@dataclass(frozen=True)
class Correction:
    """What an outcome is instead, from 0 to 1, who says so, and why."""

    request_id: str
    outcome: float
    source: str
    reason: str


async def correct(database: Database, corrections: Sequence[Correction], teller: Teller) -> int:
    """Correct outcomes that were told, all or none; returns how many changed. The same again changes nothing.

    Raises:
        UnknownPredictions: some have no outcome, or belong to no prediction that the teller may tell of.
    """
    given: dict[str, Any] = {
        **asdict(teller),
        "ids": [each.request_id for each in corrections],
        "outcomes": [each.outcome for each in corrections],
        "sources": [each.source for each in corrections],
        "reasons": [each.reason for each in corrections],
    }

    async def work(connection: Connection) -> int:
        async with connection.transaction():
            found = await (await connection.execute(MINE, given)).fetchall()
            mine = {row["request_id"] for row in found}
            missing = [{"request_id": name} for name in given["ids"] if name not in mine]
            if missing:
                raise UnknownPredictions(several("no outcome is recorded for the request id", missing))
            return (await connection.execute(CORRECT, given)).rowcount

    return await database.run(work)


async def history(database: Database, request_id: str, teller: Teller) -> dict[str, Any]:
    """The present outcome of a prediction (the columns of PRESENT), and under `history` its corrections
    (those of HISTORY), from the first to the last.

    Raises:
        UnknownPredictions: there is none, or it is another tenant's and the teller no operator.
    """
    given = {"id": request_id, **asdict(teller)}

    async def work(connection: Connection) -> dict[str, Any]:
        async with connection.transaction():
            # Both are of one moment.
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            present = await (await connection.execute(PRESENT, given)).fetchone()
            if present is None:
                raise UnknownPredictions(f"no outcome is recorded for the request id {request_id}")
            changes = await (await connection.execute(HISTORY, given)).fetchall()
            return dict(present) | {"history": [dict(each) for each in changes]}

    return await database.run(work)
