"""The audit trail, in a real PostgreSQL."""

import threading
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from react import trail as trails
from react.decide import DONE, Alert, Decision
from react.policy import NOTHING, PAGE, ROLLBACK
from react.trail import Reaction, Trail, TrailAway
from tests.unit import postgres
from tests.unit.reaction import POLICY, Clock, alert, at, decide, tell


def codes(reactions: list[Reaction]) -> list[tuple[str, str]]:
    return [(each.action, each.code) for each in reactions]


def test_the_schema_is_made_once_beside_that_of_the_booking_service(trail_url: str) -> None:
    assert trails.migrate(trail_url) == ["0001_trail.sql"]
    assert trails.migrate(trail_url) == []
    with psycopg.connect(trail_url) as connection:
        found = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    assert found == []


def test_an_action_is_open_from_its_decision_to_its_result(trail: Trail, clock: Clock) -> None:
    tell(trail, alert())
    clock.minutes = 3
    (made,) = decide(trail)
    assert (made.action, made.model, made.version, made.finished_at) == (ROLLBACK, "delay", "4", None)
    assert trail.open() == [made]
    trail.step(made, "weights go back")
    clock.minutes = 4
    assert trail.finish(made, DONE, {"left": "4"})
    assert not trail.finish(made, "failed: again", {}), "the first result stays"
    assert trail.open() == []
    (kept,) = trail.latest(10)
    assert (kept.result, kept.finished_at, kept.detail) == (DONE, at(4), {"left": "4"})
    assert [each["what"] for each in trail.steps([made.id])[made.id]] == ["weights go back", DONE]
    assert trail.left("delay") == {"4"}
    assert trail.left("other") == set()


def test_how_an_action_is_done_is_kept_once_and_beside_its_result(trail: Trail, clock: Clock) -> None:
    tell(trail, alert())
    clock.minutes = 3
    (made,) = decide(trail)
    assert trail.keep(made, {"plan": {"months": [1]}}) == {"plan": {"months": [1]}}
    assert trail.keep(made, {"plan": {"months": [2]}}) == {"plan": {"months": [1]}}, (
        "the first is gone on with"
    )
    assert trail.open()[0].detail == {"plan": {"months": [1]}}
    trail.finish(made, "refused: x", {"training": "t"})
    assert trail.latest(1)[0].detail == {"plan": {"months": [1]}, "training": "t"}


def test_each_decision_is_a_row_and_the_same_again_is_none(trail: Trail, clock: Clock) -> None:
    tell(trail, alert(), alert("Unheard"), alert("Elsewhere", severity="info"))
    decide(trail)
    rows = codes(trail.latest(10))
    assert sorted(rows) == [(NOTHING, "no rule"), (NOTHING, "too early"), (PAGE, "rule")]
    assert codes(decide(trail)) == [(NOTHING, "paged")]
    assert decide(trail) == []
    clock.minutes = 2
    assert codes(decide(trail)) == [(ROLLBACK, "rule")]
    assert codes(decide(trail)) == [(NOTHING, "under way")]
    tell(trail, replace(alert(), firing=False))
    assert codes(decide(trail)) == [(NOTHING, "resolved")]
    assert decide(trail) == []


def test_what_comes_and_goes_is_acted_upon_once(trail: Trail, clock: Clock) -> None:
    acted = []
    for minute in range(0, 60):
        clock.minutes = minute
        begun = minute - minute % 8
        tell(trail, replace(alert(), starts_at=at(begun), firing=minute % 8 < 4))
        for each in decide(trail):
            if each.action != NOTHING:
                acted.append(each)
                trail.finish(each, DONE, {})
    assert codes(acted) == [(ROLLBACK, "rule")]
    noted = [each.code for each in trail.latest(100)]
    assert noted.count("cooldown") == 8, "once an episode"


def test_a_late_word_of_the_past_changes_nothing(trail: Trail, clock: Clock) -> None:
    clock.minutes = 10
    tell(trail, replace(alert(), starts_at=at(5)))
    tell(trail, replace(alert(), starts_at=at(1), firing=False))
    assert codes(decide(trail)) == [(ROLLBACK, "rule")]
    tell(trail, replace(alert(), starts_at=at(5), firing=False))
    tell(trail, replace(alert(), starts_at=at(5)))
    assert codes(decide(trail)) == [(NOTHING, "resolved")]


def test_two_controllers_take_turns_and_act_once(trail: Trail, trail_url: str, clock: Clock) -> None:
    tell(trail, *(alert(name) for name in ("ModelFails", "ModelSlow", "ModelDrifts")))
    clock.minutes = 3
    together, found = threading.Barrier(6), []

    def look() -> None:
        with Trail(trail_url, clock) as own:
            together.wait(60)
            found.extend(decide(own))

    threads = [threading.Thread(target=look) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(120)
    assert [each.alertname for each in found if each.action != NOTHING] == ["ModelFails"]


def test_nobody_decides_while_another_does(trail: Trail, trail_url: str, clock: Clock) -> None:
    tell(trail, alert("ObjectStoreDown"))
    with psycopg.connect(trail_url) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [trails.LOCK])
        with Trail(trail_url, clock, seconds=0.5) as own, pytest.raises(TrailAway):
            decide(own)
    assert codes(decide(trail)) == [(PAGE, "rule")]


def test_an_episode_is_acted_upon_once_whatever_is_decided(trail: Trail, clock: Clock) -> None:
    """The database itself refuses a second row."""

    def twice(_: Any, alerts: list[Alert], *__: Any) -> Any:
        return [(each, Decision(ROLLBACK, "rule", "r")) for each in [*alerts, *alerts]]

    tell(trail, alert())
    assert len(trail.decide(POLICY, twice)) == 1
    assert trail.decide(POLICY, twice) == []


def test_what_was_done_long_ago_counts_while_its_episode_lasts(trail: Trail, clock: Clock) -> None:
    tell(trail, alert())
    clock.minutes = 3
    (made,) = decide(trail)
    trail.finish(made, DONE, {})
    clock.minutes = 60 * 72
    tell(trail, alert())
    assert codes(decide(trail)) == [(PAGE, "still fires")]


def test_a_database_that_is_away_is_told_as_that(
    trail: Trail, trail_url: str, postgresql: postgres.Server, clock: Clock
) -> None:
    name = trail_url.partition("@/")[2].partition("?")[0]
    tell(trail, alert())
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        postgresql.end_connections(name)
        with Trail(trail_url, clock, seconds=0.5) as own, pytest.raises(TrailAway, match="does not answer"):
            own.open()
        connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
    tell(trail, alert())
