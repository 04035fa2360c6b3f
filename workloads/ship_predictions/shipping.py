"""One round of shipping: what is settled in the log and not in the lake goes there, in batches.

Nothing is remembered but what the tables say. How far the lake is, is the last row that it has; a batch is
one commit of the lake, and follows that row without a gap. So a shipper that is killed at any moment has
shipped a beginning of the log, and the next one goes on behind it.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from workloads import common
from workloads.common import HopelessError, query
from workloads.ship_predictions.config import ShipPredictions
from workloads.ship_predictions.tables import CHANGES, OUTCOMES, TABLES, Table

LOCK = 7_413_2015
"""PostgreSQL advisory lock in the staging database: two shippers take turns."""
LEFT = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename ~ %s"
OURS = f"^ship_({'|'.join(table.name for table in TABLES)})_[0-9a-f]{{8}}$"
"""The names of staging tables."""
EXTENT = "SELECT count(*), min({day}), max({day}) FROM {place}"
LAST = 'SELECT xid, request_id FROM {place} ORDER BY xid DESC, request_id COLLATE "C" DESC LIMIT 1'
PATIENCE = """
SET lock_timeout = '30s';
SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3
"""
"""For what holds a lock or a staging table; a shipper whose node is lost lets go within a minute."""

Cursor = tuple[int, str]
"""Transaction and request id of the last row."""
BEGINNING: Cursor = (0, "")


@dataclass(frozen=True)
class Staged:
    """A batch in the staging database."""

    name: str
    rows: int
    days: tuple[datetime, datetime]
    """Times of the first and the last prediction that it is about."""
    last: Cursor


@dataclass
class Shipper:
    """Ships, and remembers between rounds only what it would otherwise read from the lake again."""

    settings: ShipPredictions
    trino: Any
    cursors: dict[str, Cursor] = field(default_factory=dict)

    def prepare(self) -> None:
        """Make the schema and the tables, where they are not there."""
        query(self.trino, f"CREATE SCHEMA IF NOT EXISTS {self.settings.place}")
        for table in TABLES:
            for statement in (table.create_sql(self.settings), *table.added_sql(self.settings)):
                query(self.trino, statement)

    def round(self, log: Any, staging: Any) -> dict[str, int]:
        """Ship all that is settled; returns how many rows, by table.

        `log` and `staging` are connections to the two databases. What is shipped is of one moment of the log:
        a correction never comes before the outcome that it corrects.

        Raises:
            WorkloadError: Trino did not do what it was asked for. What was shipped before stays; go on with
                another round.
            psycopg.Error: a database did not.
            HopelessError: the log is not the one that the lake is from.
        """
        shipped = {table.name: 0 for table in TABLES}
        try:
            with turn(staging), self._moment(log):
                self._drop_leftovers(staging)
                for table in TABLES:
                    while rows := self._batch(log, staging, table):
                        shipped[table.name] += rows
                        if rows < self.settings.batch:
                            break
        except Exception:
            # Another shipper may have been quicker, or a commit was made of which the answer was lost.
            self.cursors.clear()
            raise
        return shipped

    def lag(self, log: Any) -> float:
        """Age in seconds, by the database's clock, of the oldest row that is not in the lake; 0: there is
        none.
        """
        oldest = 0.0
        for table in TABLES:
            ((age,),) = log.execute(table.waiting_sql(), _after(self.cursor(table))).fetchall()
            oldest = max(oldest, age)
        return oldest

    def cursor(self, table: Table) -> Cursor:
        """How far the lake is."""
        if table.name not in self.cursors:
            found = query(self.trino, table.cursor_sql(self.settings))
            self.cursors[table.name] = (int(found[0][0]), str(found[0][1])) if found else BEGINNING
        return self.cursors[table.name]

    @contextmanager
    def _moment(self, log: Any) -> Iterator[None]:
        """One moment of the log, which is later than all that the lake has."""
        furthest = max((self.cursor(table)[0], table.name) for table in TABLES)
        ((after,),) = log.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchall()
        if furthest[0] >= after:
            raise HopelessError(
                f"{self.settings.place}.{furthest[1]} has a row of transaction {furthest[0]}, the log is at "
                f"{after}: it was restored from a dump, and new rows would pass for shipped; ship it into "
                f"another schema, for example --set schema={self.settings.schema}_2"
            )
        with log.transaction():
            log.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            yield

    def _batch(self, log: Any, staging: Any, table: Table) -> int:
        """Ship the rows behind the cursor; how many."""
        given = {**_after(self.cursor(table)), "batch": self.settings.batch}
        staged = self._stage(log, staging, table, table.next_sql(), given)
        if staged is None:
            return 0
        if table is CHANGES:
            # Before the cursor moves: killed between the two, both are done again.
            self._update(log, staging, staged)
        self._merge(table, staged)
        self._drop(staging, staged.name)
        self.cursors[table.name] = staged.last
        return staged.rows

    def _update(self, log: Any, staging: Any, changes: Staged) -> None:
        """The outcomes that these corrections are of take their present values."""
        corrected = staging.execute(f"SELECT request_id FROM {self._place(changes.name)}").fetchall()
        sql = OUTCOMES.rows_sql("l.request_id = ANY(%(ids)s::text[])")
        ids = sorted({request_id for (request_id,) in corrected})
        staged = self._stage(log, staging, OUTCOMES, sql, {"ids": ids})
        if staged:
            self._merge(OUTCOMES, staged, insert=False)
            self._drop(staging, staged.name)

    def _stage(self, log: Any, staging: Any, table: Table, sql: str, given: dict[str, Any]) -> Staged | None:
        """Copy rows of the log into a staging table of their own; None where there are none."""
        name = f"ship_{table.name}_{uuid.uuid4().hex[:8]}"
        place = self._place(name)
        with staging.transaction(), staging.cursor() as into, log.cursor() as of:
            into.execute(table.staging_sql(place))
            with (
                of.copy(f"COPY ({sql}) TO STDOUT", given) as source,
                into.copy(f"COPY {place} FROM STDIN") as target,
            ):
                for data in source:
                    target.write(data)
            ((rows, first, last),) = into.execute(EXTENT.format(day=table.day, place=place)).fetchall()
            if not rows:
                into.execute(f"DROP TABLE {place}")
                return None
            ((xid, request_id),) = into.execute(LAST.format(place=place)).fetchall()
        return Staged(name, rows, (first, last), (xid, request_id))

    def _merge(self, table: Table, staged: Staged, *, insert: bool = True) -> None:
        query(self.trino, table.merge_sql(self.settings, staged.name, staged.days, insert=insert))

    def _place(self, name: str) -> str:
        return f"{self.settings.staging_schema}.{name}"

    def _drop(self, staging: Any, name: str) -> None:
        staging.execute(f"DROP TABLE IF EXISTS {self._place(name)}")

    def _drop_leftovers(self, staging: Any) -> None:
        """Of shippers that were killed. One that Trino still reads is waited for."""
        for (name,) in staging.execute(LEFT, [self.settings.staging_schema, OURS]).fetchall():
            self._drop(staging, name)


def _after(cursor: Cursor) -> dict[str, Any]:
    return {"xid": cursor[0], "request_id": cursor[1]}


@contextmanager
def turn(staging: Any) -> Iterator[None]:
    """Hold the lock that keeps two shippers apart; a killed one's goes with its connection.

    It saves them work, and no more: were both to ship the same batch, Iceberg would refuse the second commit.
    """
    staging.autocommit = True
    staging.execute(PATIENCE)
    staging.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        yield
    finally:
        if not staging.closed:
            staging.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def tidy(trino: Any, settings: ShipPredictions) -> None:
    """Join small files, and drop snapshots and files that nobody needs."""
    for kind, kept in (("expire_snapshots", settings.snapshots), ("remove_orphan_files", settings.orphans)):
        query(trino, f"SET SESSION {settings.catalog}.{kind}_min_retention = '{kept}'")
    for table in TABLES:
        place = f"{settings.place}.{table.name}"
        query(trino, f"ALTER TABLE {place} EXECUTE optimize(file_size_threshold => '{settings.small_file}')")
        query(
            trino,
            f"ALTER TABLE {place} EXECUTE expire_snapshots(retention_threshold => '{settings.snapshots}')",
        )
        query(
            trino,
            f"ALTER TABLE {place} EXECUTE remove_orphan_files(retention_threshold => '{settings.orphans}')",
        )


@contextmanager
def connections() -> Iterator[tuple[Any, Any]]:
    """To the log and to the staging database."""
    import psycopg

    url = common.env("BOOKINGS_DATABASE")
    with psycopg.connect(url, connect_timeout=20, autocommit=True) as log, common.postgres() as staging:
        staging.autocommit = True
        yield log, staging
