"""What leaves PostgreSQL, and what never does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from tests.unit import postgres
from tests.unit.test_ship_predictions import SETTINGS, World
from workloads.booking_api import schema
from workloads.common import WorkloadError
from workloads.ship_predictions import retention

DAY = 86_400
KEPT = replace(SETTINGS, keep_days=30.0)


@pytest.fixture
def world(postgresql: postgres.Server) -> World:
    made = World(postgresql)
    with psycopg.connect(made.log) as connection:
        schema.migrate(connection)
    made.predict("r-old", "r-corrected", "r-untold", ago=40 * DAY)
    made.predict("r-new")
    made.tell("r-old", "r-corrected", "r-new")
    made.correct("r-corrected", 0)
    return made


def forget(world: World, held: dict[str, datetime] | None = None, **changes: Any) -> int:
    with psycopg.connect(world.log, autocommit=True) as log:
        return retention.forget(log, world.lake, replace(KEPT, **changes), held or {})


def left(world: World) -> list[str]:
    with psycopg.connect(world.log) as log:
        rows = log.execute("SELECT request_id FROM predictions ORDER BY request_id").fetchall()
    return [request_id for (request_id,) in rows]


ALL = ["r-corrected", "r-new", "r-old", "r-untold"]


def test_what_is_old_told_and_shipped_leaves_and_stays_in_the_lake(world: World) -> None:
    world.round()
    before = world.shipped()
    assert forget(world) == 2
    assert left(world) == ["r-new", "r-untold"]
    assert {name: len(rows) for name, rows in world.logged().items()} == {
        "predictions": 2, "outcomes": 1, "outcome_changes": 0,
    }  # fmt: skip
    world.round()
    assert world.shipped() == before
    assert forget(world) == 0


def test_what_is_not_in_the_lake_stays(world: World) -> None:
    world.shipper()
    assert forget(world) == 0
    world.round()
    world.lake.rows("DELETE FROM iceberg.feedback.outcomes WHERE request_id = 'r-old'")
    assert forget(world) == 1
    assert left(world) == ["r-new", "r-old", "r-untold"]


def test_what_the_lake_has_otherwise_stays_until_it_is_shipped(world: World) -> None:
    world.round()
    world.correct("r-old", 0)
    assert forget(world) == 1
    assert "r-old" in left(world)
    world.round()
    assert forget(world) == 1
    assert "r-old" not in left(world)


def test_a_correction_of_which_the_lake_has_the_value_and_not_the_history_stays(world: World) -> None:
    world.round()
    world.lake.rows("DELETE FROM iceberg.feedback.outcome_changes")
    assert forget(world) == 1
    assert "r-corrected" in left(world)


def test_what_an_experiment_reads_stays(world: World) -> None:
    world.write("UPDATE predictions SET experiment = 'e', variant = 'v' WHERE request_id = 'r-old'")
    world.round()
    assert forget(world) == 1
    assert "r-old" in left(world)


def test_what_a_bandit_or_a_rollout_reads_stays(world: World) -> None:
    world.round()
    ago = datetime.now(UTC) - timedelta(days=50)
    assert forget(world, {"delay": ago}) == 0
    assert left(world) == ALL
    assert forget(world, {"delay": datetime.now(UTC), "other": ago}) == 2


def test_it_goes_bit_by_bit(world: World) -> None:
    world.round()
    assert [forget(world, forget=1) for _ in range(3)] == [1, 1, 0]


def test_when_trino_does_not_answer_nothing_is_deleted(world: World) -> None:
    world.round()

    def refuse(_: str) -> None:
        raise RuntimeError("away")

    world.lake.before = refuse
    with pytest.raises(WorkloadError, match="away"):
        forget(world)
    assert left(world) == ALL


def test_an_id_that_left_and_is_asked_anew_is_another_prediction(world: World) -> None:
    world.round()
    forget(world)
    world.predict("r-old")
    world.tell("r-old", outcome=0)
    world.round()
    found = world.lake.rows(
        "SELECT o.outcome FROM iceberg.feedback.predictions p JOIN iceberg.feedback.outcomes o "
        'ON o.request_id = p.request_id AND o.predicted_at = p."at" '
        "WHERE p.request_id = 'r-old' ORDER BY o.predicted_at"
    )
    assert found == [(1.0,), (0.0,)]


def route(name: str, **notes: str) -> dict[str, Any]:
    keys = {"steered": retention.STEERED, "rollout": retention.ROLLOUT}
    return {"metadata": {"name": name, "annotations": {keys[key]: text for key, text in notes.items()}}}


def test_a_route_says_from_when_on_the_log_is_read() -> None:
    steered = '{"since": "2013-07-01T00:00:00+00:00"}'
    began = '{"began": "2013-06-01T00:00:00+00:00", "ended": "%s"}'
    routes = [
        route("delay", steered=steered, rollout=began % "stable"),
        route("price", steered=steered, rollout=began % ""),
        route("none"),
        {"metadata": {"name": "plain"}},
    ]
    assert retention.since(routes) == {
        "delay": datetime(2013, 7, 1, tzinfo=UTC),
        "price": datetime(2013, 6, 1, tzinfo=UTC),
    }


def test_its_words_for_notes_are_those_of_who_writes_them() -> None:
    from client import traffic
    from workloads.steer_traffic import steering

    assert (retention.STEERED, retention.ROLLOUT) == (traffic.STEERED, traffic.ROLLOUT)
    assert (retention.STEERED, retention.ROLLOUT) == (steering.STEERED, steering.ROLLOUT)
