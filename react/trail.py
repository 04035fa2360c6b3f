"""The audit trail in PostgreSQL: which alerts there are, what was decided, and what came of it.

An action's row is written before it is acted upon, in one transaction with the look at what was done before,
under a lock: two controllers would take turns, and the second finds what the first decided.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb
from psycopg_pool import ConnectionPool, PoolTimeout

from react.decide import DAY, Action, Alert, Decision
from react.policy import NOTHING, Policy
from workloads.booking_api import schema

FOLDER = Path(__file__).with_name("migrations")
LOCK = 7_413_2088
"""PostgreSQL advisory lock, of whoever decides."""
LATELY = timedelta(hours=1)
"""For so long what is resolved is looked at, to note that."""
COLUMNS = (
    "id, decided_at, fingerprint, starts_at, alertname, model, version, labels, rule, action, code, reason, "
    "finished_at, result, detail"
)


class TrailAway(Exception):
    """The database does not answer: nothing is decided, and nothing is done."""


@dataclass(frozen=True)
class Reaction:
    """A row of the trail."""

    id: int
    decided_at: datetime
    fingerprint: str
    starts_at: datetime
    alertname: str
    model: str
    version: str
    labels: dict[str, str]
    rule: str
    action: str
    code: str
    reason: str
    finished_at: datetime | None
    result: str
    detail: dict[str, Any]


def migrate(url: str, name: str = "reaction") -> list[str]:
    """Bring the schema of that name up to date; the names of the files that were applied now.

    Raises:
        psycopg.OperationalError: the database does not answer.
    """
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")
        connection.execute(f"SET search_path TO {name}")
        return schema.migrate(connection, FOLDER)


class Trail:
    """The trail behind a few connections; close it, or use `with`."""

    def __init__(
        self, url: str, clock: Callable[[], datetime], seconds: float = 5.0, name: str = "reaction"
    ) -> None:
        self.clock = clock
        self.pool: ConnectionPool[Any] = ConnectionPool(
            url,
            min_size=1,
            max_size=4,
            timeout=seconds,
            open=True,
            check=ConnectionPool.check_connection,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "connect_timeout": 5,
                "options": f"-c search_path={name} -c statement_timeout={int(1000 * seconds)}",
            },
        )

    def __enter__(self) -> "Trail":
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.close()

    @contextmanager
    def _database(self) -> Iterator[Any]:
        """A connection in a transaction of its own."""
        try:
            with self.pool.connection() as connection, connection.transaction():
                yield connection
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise TrailAway(f"the database does not answer: {str(error).strip()}") from error

    # --- alerts --------------------------------------------------------------------------------------------

    def tell(self, alerts: Sequence[tuple[Alert, dict[str, str]]]) -> None:
        """Keep what Alertmanager says, each with its annotations; a late word of the past changes nothing."""
        with self._database() as database:
            for alert, annotations in alerts:
                database.execute(
                    _TELL,
                    [
                        alert.fingerprint, Jsonb(alert.labels), Jsonb(annotations), alert.firing,
                        alert.starts_at, alert.seen_at,
                    ],
                )  # fmt: skip

    # --- decisions -----------------------------------------------------------------------------------------

    def decide(
        self,
        policy: Policy,
        judge: Callable[[Policy, list[Alert], datetime, Sequence[Action]], list[tuple[Alert, Decision]]],
    ) -> list[Reaction]:
        """Judge all alerts that there are, and keep what is new; returns the rows that were written."""
        now, new = self.clock(), []
        with self._database() as database:
            database.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
            alerts = [Alert(**row) for row in database.execute(_ALERTS, {"since": now - LATELY}).fetchall()]
            window = now - max(DAY, policy.cooldown)
            before = [Action(**row) for row in database.execute(_BEFORE, {"since": window}).fetchall()]
            for alert, decision in judge(policy, alerts, now, before):
                if decision.action != NOTHING or _is_new(database, alert, decision):
                    new += _keep(database, alert, decision, now)
        return new

    def open(self) -> list[Reaction]:
        """The actions that were decided and not finished, the oldest first."""
        return self._rows("WHERE finished_at IS NULL ORDER BY id")

    def step(self, reaction: Reaction, what: str) -> None:
        """Note what is being done."""
        with self._database() as database:
            database.execute(_STEP, [reaction.id, self.clock(), what])

    def keep(self, reaction: Reaction, detail: dict[str, Any]) -> dict[str, Any]:
        """Keep how an action is done, for whoever goes on with it; what is there already stays.

        Returns all of it.
        """
        with self._database() as database:
            row = database.execute(
                "UPDATE reactions SET detail = %s || detail WHERE id = %s RETURNING detail",
                [Jsonb(detail), reaction.id],
            ).fetchone()
        kept: dict[str, Any] = row["detail"]
        return kept

    def finish(self, reaction: Reaction, result: str, detail: dict[str, Any]) -> bool:
        """Keep what came of an action; False where that was known already."""
        with self._database() as database:
            done = database.execute(
                "UPDATE reactions SET finished_at = %s, result = %s, detail = detail || %s "
                "WHERE id = %s AND finished_at IS NULL RETURNING id",
                [self.clock(), result, Jsonb(detail), reaction.id],
            ).fetchone()
            if done:
                database.execute(_STEP, [reaction.id, self.clock(), result])
        return done is not None

    # --- reading -------------------------------------------------------------------------------------------

    def left(self, model: str) -> set[str]:
        """The versions that a reaction took the traffic of."""
        with self._database() as database:
            rows = database.execute(
                "SELECT DISTINCT detail ->> 'left' AS left FROM reactions "
                "WHERE model = %s AND detail ? 'left'",
                [model],
            ).fetchall()
        return {row["left"] for row in rows}

    def latest(self, limit: int, *, model: str | None = None, before: int | None = None) -> list[Reaction]:
        """The newest rows first; of one model, and older than the row `before`, where they are given."""
        return self._rows(
            "WHERE (%(model)s::text IS NULL OR model = %(model)s) "
            "AND (%(before)s::bigint IS NULL OR id < %(before)s) ORDER BY id DESC LIMIT %(limit)s",
            {"model": model, "before": before, "limit": limit},
        )

    def steps(self, ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
        """What was done for each of these reactions, in order."""
        found: dict[int, list[dict[str, Any]]] = {each: [] for each in ids}
        with self._database() as database:
            rows = database.execute(
                "SELECT reaction, at, what FROM steps WHERE reaction = ANY(%s) ORDER BY id", [list(ids)]
            ).fetchall()
        for row in rows:
            found[row["reaction"]].append({"at": row["at"], "what": row["what"]})
        return found

    def _rows(self, where: str, parameters: dict[str, Any] | None = None) -> list[Reaction]:
        with self._database() as database:
            rows = database.execute(f"SELECT {COLUMNS} FROM reactions {where}", parameters).fetchall()
        return [Reaction(**row) for row in rows]


def _is_new(database: Any, alert: Alert, decision: Decision) -> bool:
    """Whether the last word on the episode was another one."""
    last = database.execute(
        "SELECT code FROM reactions WHERE fingerprint = %s AND starts_at = %s ORDER BY id DESC LIMIT 1",
        [alert.fingerprint, alert.starts_at],
    ).fetchone()
    return last is None or last["code"] != decision.code


def _keep(database: Any, alert: Alert, decision: Decision, now: datetime) -> list[Reaction]:
    """Write a decision; one to do nothing is finished with that. An action that is there already is none."""
    nothing = decision.action == NOTHING
    row = database.execute(
        "INSERT INTO reactions (decided_at, fingerprint, starts_at, alertname, model, version, labels, rule, "
        "action, code, reason, finished_at, result) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "
        f"ON CONFLICT DO NOTHING RETURNING {COLUMNS}",
        [
            now, alert.fingerprint, alert.starts_at, alert.name, alert.model, alert.version,
            Jsonb(alert.labels), decision.rule, decision.action, decision.code, decision.reason,
            now if nothing else None, NOTHING if nothing else "",
        ],
    ).fetchone()  # fmt: skip
    return [Reaction(**row)] if row else []


_TELL = """
INSERT INTO alerts (fingerprint, labels, annotations, firing, starts_at, seen_at)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (fingerprint) DO UPDATE SET labels = excluded.labels, annotations = excluded.annotations,
    firing = excluded.firing, starts_at = excluded.starts_at, seen_at = excluded.seen_at
WHERE excluded.starts_at > alerts.starts_at
    OR (excluded.starts_at = alerts.starts_at AND (alerts.firing OR NOT excluded.firing))
"""
_ALERTS = """
SELECT fingerprint, labels, starts_at, seen_at, firing FROM alerts
WHERE firing OR seen_at >= %(since)s ORDER BY starts_at, fingerprint
"""
_BEFORE = """
SELECT id, action, model, fingerprint, starts_at, decided_at, finished_at, result FROM reactions
WHERE action <> 'nothing' AND (
    decided_at >= %(since)s OR finished_at IS NULL OR finished_at >= %(since)s
    OR (fingerprint, starts_at) IN (SELECT fingerprint, starts_at FROM alerts)
) ORDER BY id
"""
_STEP = "INSERT INTO steps (reaction, at, what) VALUES (%s, %s, %s)"
