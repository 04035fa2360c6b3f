"""The log of predictions on its way into the lake: real PostgreSQL, and DuckDB in Trino's place."""

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.unit import postgres
from tests.unit.lake import Lake
from workloads.booking_api import schema
from workloads.common import HopelessError, WorkloadError
from workloads.settings import changed
from workloads.ship_predictions import config, shipping
from workloads.ship_predictions.shipping import Shipper, tidy
from workloads.ship_predictions.tables import CHANGES, OUTCOMES, PREDICTIONS, TABLES

SETTINGS = config.reference()
NUMBERS = itertools.count()
PREDICT = """
INSERT INTO predictions
    (request_id, at, tenant, model, version, experiment, variant, user_key, features, score, decision, price)
SELECT id, now() - make_interval(secs => %(ago)s), 'shop', 'delay', '3', NULL, NULL, 'u-1',
    '{"carrier": "UA", "origin": "EWR", "hour": 5}', 0.25, 'insurance', 31.25
FROM unnest(%(ids)s::text[]) AS id
"""
TELL = """
INSERT INTO outcomes (request_id, at, outcome, source)
SELECT id, now() - make_interval(secs => %(ago)s), %(outcome)s, 'arrivals' FROM unnest(%(ids)s::text[]) AS id
"""
CORRECT = """
WITH changed AS (UPDATE outcomes SET outcome = %(outcome)s, source = 'airline' WHERE request_id = %(id)s)
INSERT INTO outcome_changes (request_id, number, old_outcome, old_source, outcome, source, reason)
SELECT request_id, 1 + (SELECT count(*) FROM outcome_changes c WHERE c.request_id = o.request_id),
    outcome, source, %(outcome)s, 'airline', 'misread' FROM outcomes o WHERE request_id = %(id)s
"""


class World:
    """A log, a staging database and a lake."""

    def __init__(self, server: postgres.Server) -> None:
        number = next(NUMBERS)
        self.log = server.create(f"ship-log-{number}")
        self.staging = server.create(f"ship-staging-{number}")
        self.lake = Lake(self.staging)

    def write(self, sql: str, **given: Any) -> None:
        with psycopg.connect(self.log) as connection:
            connection.execute(sql, given)

    def predict(self, *ids: str, ago: float = 0) -> None:
        self.write(PREDICT, ids=list(ids), ago=ago)

    def tell(self, *ids: str, outcome: float = 1, ago: float = 0) -> None:
        self.write(TELL, ids=list(ids), outcome=outcome, ago=ago)

    def correct(self, request_id: str, outcome: float) -> None:
        self.write(CORRECT, id=request_id, outcome=outcome)

    def shipper(self, **changes: Any) -> Shipper:
        """A new process, which remembers nothing."""
        made = Shipper(replace(SETTINGS, **changes), self.lake)
        made.prepare()
        return made

    def round(self, shipper: Shipper | None = None) -> dict[str, int]:
        with self.connections() as (log, staging):
            return (shipper or self.shipper()).round(log, staging)

    @contextmanager
    def connections(self) -> Iterator[tuple[Any, Any]]:
        with (
            psycopg.connect(self.log, autocommit=True) as log,
            psycopg.connect(self.staging, autocommit=True) as staging,
        ):
            yield log, staging

    def logged(self) -> dict[str, list[Any]]:
        """What the lake is to have."""
        with psycopg.connect(self.log) as log:
            found = {table.name: log.execute(table.rows_sql("true")).fetchall() for table in TABLES}
        return {name: sorted(rows, key=repr) for name, rows in found.items()}

    def shipped(self) -> dict[str, list[Any]]:
        found = {}
        for table in TABLES:
            columns = ", ".join(f'"{name}"' for name in table.columns)
            found[table.name] = self.lake.rows(f"SELECT {columns} FROM iceberg.feedback.{table.name}")
        return {name: sorted(rows, key=repr) for name, rows in found.items()}

    def same(self) -> bool:
        return _in_utc(self.shipped()) == _in_utc(self.logged())

    def staged(self) -> list[str]:
        with psycopg.connect(self.staging) as staging:
            rows = staging.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        return [name for (name,) in rows]


def _in_utc(rows: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Times as numbers: two databases give them in their own zones."""

    def plain(value: Any) -> Any:
        return value.timestamp() if hasattr(value, "timestamp") else value

    return {
        name: sorted((tuple(plain(value) for value in row) for row in found), key=repr)
        for name, found in rows.items()
    }


@pytest.fixture
def world(postgresql: postgres.Server) -> World:
    made = World(postgresql)
    with psycopg.connect(made.log) as connection:
        schema.migrate(connection)
    return made


def full(world: World) -> None:
    """A log with something of each kind."""
    world.predict("r-1", "r-2", "r-3", ago=200_000)
    world.predict("r-4", "R-5")
    world.tell("r-1", "r-4")
    world.tell("r-2", outcome=0)
    world.correct("r-1", 0)
    world.correct("r-1", 0.5)
    world.correct("r-2", 1)


def test_what_is_logged_arrives_as_it_is_and_once(world: World) -> None:
    full(world)
    assert world.round() == {"predictions": 5, "outcomes": 3, "outcome_changes": 3}
    assert world.same()
    (row,) = world.lake.rows("SELECT * FROM iceberg.feedback.predictions WHERE request_id = 'R-5'")
    assert "'UA'" not in str(row[9])
    assert '"carrier": "UA"' in row[9]
    assert world.round() == {"predictions": 0, "outcomes": 0, "outcome_changes": 0}
    assert world.same()


def test_only_what_is_new_is_read_again(world: World) -> None:
    shipper = world.shipper()
    full(world)
    world.round(shipper)
    world.lake.statements.clear()
    assert sum(world.round(shipper).values()) == 0
    assert world.lake.statements == [], "a round that finds nothing asks Trino for nothing"
    world.predict("r-6")
    assert world.round(shipper) == {"predictions": 1, "outcomes": 0, "outcome_changes": 0}
    assert world.same()


def test_late_outcomes_and_corrections_find_their_prediction(world: World) -> None:
    world.predict("r-1", "r-2", ago=40 * 86_400)
    world.round()
    world.tell("r-1", "r-2")
    world.round()
    world.correct("r-2", 0)
    world.predict("r-3")
    assert world.round() == {"predictions": 1, "outcomes": 0, "outcome_changes": 1}
    assert world.same()
    present = world.lake.rows(
        "SELECT request_id, outcome, source, corrections FROM iceberg.feedback.outcomes"
    )
    assert sorted(present) == [("r-1", 1.0, "arrivals", 0), ("r-2", 0.0, "airline", 1)]
    days = world.lake.rows(
        "SELECT count(DISTINCT o.predicted_at), count(*) FROM iceberg.feedback.outcomes o "
        'JOIN iceberg.feedback.predictions p ON p.request_id = o.request_id AND p."at" = o.predicted_at'
    )
    assert days == [(1, 2)]


def test_an_outcome_that_is_older_than_its_prediction_is_shipped(world: World) -> None:
    """By clocks that differ."""
    world.predict("r-1")
    world.tell("r-1", ago=3600)
    world.round()
    assert world.same()
    assert len(world.shipped()["outcomes"]) == 1


def test_a_row_that_commits_late_is_not_lost(world: World) -> None:
    """It was written before others that were committed, and perhaps shipped, before it."""
    world.predict("r-0")
    shipper = world.shipper()
    world.round(shipper)
    with psycopg.connect(world.log) as early:
        early.execute(PREDICT, {"ids": ["r-early"], "ago": 0})
        world.predict("r-late")
        assert world.round(shipper)["predictions"] == 0, "what was written after it waits"
        assert not world.same()
    assert world.round(shipper)["predictions"] == 2
    assert world.same()


def test_what_comes_later_need_not_have_a_later_id(world: World) -> None:
    shipper = world.shipper()
    for request_id in ("r-9", "r-5", "r-1"):
        world.predict(request_id)
        world.tell(request_id)
        world.correct(request_id, 0)
        assert world.round(shipper) == {"predictions": 1, "outcomes": 1, "outcome_changes": 1}
    assert world.same()


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_batches_may_end_within_a_transaction(world: World, batch: int) -> None:
    full(world)
    shipped = world.round(world.shipper(batch=batch))
    assert shipped == {"predictions": 5, "outcomes": 3, "outcome_changes": 3}
    assert world.same()
    merges = [each for each in world.lake.statements if each.startswith("MERGE")]
    assert len(merges) >= 11 // batch


def test_rows_from_before_the_log_knew_transactions_are_shipped_too(postgresql: postgres.Server) -> None:
    world = World(postgresql)
    before = Path(schema.__file__).with_name("migrations")
    with psycopg.connect(world.log) as connection:
        for path in sorted(before.glob("000[1-5]*.sql")):
            connection.execute(path.read_bytes())
    full(world)
    with psycopg.connect(world.log) as connection:
        for path in sorted(before.glob("000[6-9]*.sql")):
            connection.execute(path.read_bytes())
    world.predict("r-9")
    assert world.round(world.shipper(batch=2)) == {"predictions": 6, "outcomes": 3, "outcome_changes": 3}
    assert world.same()
    assert {row[0] for row in world.shipped()["outcomes"]} == {0}


class Killed(BaseException):
    """What nothing runs after."""


def dies(world: World, place: int, when: str, of: str = "") -> bool:
    """Whether a shipper of small batches dies at this statement, of those that begin so."""
    counted = itertools.count()

    def die(sql: str) -> None:
        if sql.startswith(of) and next(counted) == place:
            raise Killed

    setattr(world.lake, when, die)
    try:
        with world.connections() as (log, staging):
            try:
                shipper = world.shipper(batch=2)
                shipper.round(log, staging)
            except Killed:
                # As the kernel does for it.
                log.close()
                staging.close()
                return True
        return False
    finally:
        world.lake.before = world.lake.after = lambda _: None


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize(
    "at", ["CREATE", "SELECT", *(f"MERGE INTO iceberg.feedback.{t.name} " for t in TABLES)]
)
def test_a_shipper_that_is_killed_at_any_statement_loses_and_doubles_nothing(
    world: World, at: str, when: str
) -> None:
    full(world)
    for place in (0, 1):
        assert dies(world, place, when, at)
        world.predict(f"r-more-{place}", f"r-and-more-{place}")
        world.tell(f"r-more-{place}", f"r-and-more-{place}")
        world.correct(f"r-more-{place}", 0)
        world.correct(f"r-and-more-{place}", 0)
    world.round()
    assert world.same()
    assert world.staged() == []


def test_a_correction_whose_shipper_was_killed_half_way_is_not_forgotten(world: World) -> None:
    """The outcome first, then the row that moves the cursor."""
    world.predict("r-1")
    world.tell("r-1")
    world.round()
    world.correct("r-1", 0)
    assert [dies(world, place, "before", "MERGE") for place in (0, 1)] == [True, True]
    assert world.shipped()["outcome_changes"] == []
    world.round()
    assert world.same()


def test_two_shippers_at_once_ship_a_row_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the lock even: one stands still with a batch in its hands while the other ships all of it, and
    a correction besides.
    """
    monkeypatch.setattr(shipping, "turn", lambda _: nullcontext())
    monkeypatch.setattr(Shipper, "_drop_leftovers", lambda *_: None)
    full(world)
    overtaken: list[str] = []

    def overtake(sql: str) -> None:
        if sql.startswith("MERGE") and "outcomes" in sql and not overtaken:
            overtaken.append(sql)
            world.correct("r-4", 0)
            world.round()

    world.lake.before = overtake
    world.round()
    assert overtaken
    world.lake.before = lambda _: None
    world.round()
    assert world.same()
    ((outcome, corrections),) = world.lake.rows(
        "SELECT outcome, corrections FROM iceberg.feedback.outcomes WHERE request_id = 'r-4'"
    )
    assert (outcome, corrections) == (0.0, 1)


def test_two_shippers_take_turns(world: World) -> None:
    full(world)
    done: list[dict[str, int]] = []
    other = threading.Thread(target=lambda: done.append(world.round()))
    waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s"
    with (
        psycopg.connect(world.staging, autocommit=True) as staging,
        psycopg.connect(world.staging, autocommit=True) as watcher,
    ):
        with shipping.turn(staging):
            other.start()
            while watcher.execute(waiting, [shipping.LOCK]).fetchone() != (1,):
                assert other.is_alive()
            assert world.shipped()["predictions"] == []
        other.join(60)
    assert done == [{"predictions": 5, "outcomes": 3, "outcome_changes": 3}]


def test_what_a_killed_shipper_left_is_dropped_and_nothing_else(world: World) -> None:
    with psycopg.connect(world.staging) as staging:
        for name in ("ship_outcomes_0123abcd", "ship_outcomes", "ingest_flights", "ship_of_theseus_0123abcd"):
            staging.execute(f"CREATE TABLE {name} (x int)")
    world.round()
    assert sorted(world.staged()) == ["ingest_flights", "ship_of_theseus_0123abcd", "ship_outcomes"]


def test_a_trino_that_refuses_is_asked_again_from_where_the_lake_is(world: World) -> None:
    full(world)
    shipper = world.shipper(batch=2)
    refusals = iter([False, True])

    def refuse(sql: str) -> None:
        if sql.startswith("MERGE") and next(refusals, False):
            raise RuntimeError("ICEBERG_COMMIT_ERROR")

    world.lake.before = refuse
    with pytest.raises(WorkloadError, match=r"Trino refused `MERGE INTO .*ICEBERG_COMMIT_ERROR"):
        world.round(shipper)
    assert len(world.shipped()["predictions"]) == 2
    assert shipper.cursors == {}
    assert world.round(shipper)["predictions"] == 3
    assert world.same()


def test_a_log_that_was_restored_from_a_dump_is_refused(world: World) -> None:
    """Its transactions are counted anew: new rows would stand before those that the lake has."""
    world.predict("r-1")
    world.round()
    world.lake.rows("UPDATE iceberg.feedback.predictions SET xid = 1000000000")
    world.predict("r-2")
    with pytest.raises(HopelessError, match=r"predictions has a row of transaction 1000000000, .*feedback_2"):
        world.round()
    assert world.round(world.shipper(schema="feedback_2"))["predictions"] == 2


def test_the_lag_is_the_age_of_the_oldest_row_that_the_lake_has_not(world: World) -> None:
    world.predict("r-1", ago=600)
    world.predict("r-2")
    shipper = world.shipper()
    with world.connections() as (log, staging):
        assert 600 <= shipper.lag(log) < 660
        with psycopg.connect(world.log) as early:
            early.execute("SELECT pg_current_xact_id()")
            world.predict("r-3", ago=100)
            shipper.round(log, staging)
            assert 100 <= shipper.lag(log) < 160, "what is not settled counts"
        shipper.round(log, staging)
        assert shipper.lag(log) == 0


def test_a_lake_from_before_it_was_kept_who_told_gets_the_column(world: World) -> None:
    world.predict("r-1", "r-2")
    world.tell("r-1")
    world.round()
    for table in (OUTCOMES, CHANGES):
        world.lake.rows(f'ALTER TABLE iceberg.feedback.{table.name} DROP COLUMN "tenant"')
    world.tell("r-2")
    world.write("UPDATE outcomes SET tenant = 'desk' WHERE request_id = 'r-2'")
    world.round()
    assert world.same()
    told = world.lake.rows('SELECT "request_id", "tenant" FROM iceberg.feedback.outcomes')
    assert dict(told) == {"r-1": None, "r-2": "desk"}


def test_small_files_and_old_snapshots_are_tidied_up(world: World) -> None:
    world.shipper()
    world.lake.statements.clear()
    tidy(world.lake, SETTINGS)
    assert len(world.lake.statements) == 2 + 3 * len(TABLES)
    for table in (PREDICTIONS, OUTCOMES, CHANGES):
        done = [each.partition("EXECUTE ")[2] for each in world.lake.statements if f".{table.name} " in each]
        assert done == [
            "optimize(file_size_threshold => '32MB')",
            "expire_snapshots(retention_threshold => '1d')",
            "remove_orphan_files(retention_threshold => '7d')",
        ]


@pytest.mark.parametrize(
    "wrong",
    ["every=0", "batch=0", "schema=a b", "small_file=32", "snapshots=x", "least=0", "window_days=0",
     "keep_days=3", "forget=0", "tidy_every=0"],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(wrong: str) -> None:
    with pytest.raises(HopelessError, match=f"setting {wrong.partition('=')[0]} must be"):
        changed(config.reference(), [wrong])
