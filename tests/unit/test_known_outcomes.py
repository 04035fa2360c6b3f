"""What the bandit and a rollout read of the log of predictions, by a real PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace as Some
from typing import Any

import psycopg
import pytest

from client import live
from tests.unit import postgres
from workloads.booking_api import schema
from workloads.steer_traffic import config, main

BEGAN = "2013-07-01T00:00:00+00:00"


@pytest.fixture
def log(postgresql: postgres.Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database with the log's tables and none of its rows."""
    name = request.node.name[-60:]
    url = postgresql.create(name)
    with psycopg.connect(url) as connection:
        schema.migrate(connection)
    yield url
    postgresql.end_connections(name)


def predict(
    url: str, version: str, hit: bool | None, at: str = "2013-07-02", experiment: str | None = None
) -> None:
    """One prediction of that version, right or wrong, or with no outcome yet."""
    with psycopg.connect(url) as connection:
        (count,) = connection.execute("SELECT count(*) FROM predictions").fetchone() or (0,)
        connection.execute(
            "INSERT INTO predictions VALUES (%s, %s, 'delay', %s, %s, %s, 'u', '{}', 0.7, 'rebooking', 1)",
            [f"r{count}", at, version, experiment, experiment and "canary"],
        )
        if hit is not None:
            connection.execute("INSERT INTO outcomes VALUES (%s, now(), %s, 't')", [f"r{count}", float(hit)])


def fill(url: str) -> None:
    for version, hit in (("3", True), ("3", False), ("4", True), ("4", None), ("9", False)):
        predict(url, version, hit)
    predict(url, "3", True, at="2013-06-30")
    predict(url, "4", False, experiment="x")


def test_the_bandit_counts_the_default_rules_requests_since_it_began(
    log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(log)
    monkeypatch.setenv("BOOKINGS_DATABASE", log)
    assert main.known(config.reference(), BEGAN) == {"3": (2, 1), "4": (1, 1), "9": (1, 0)}
    assert main.known(config.SteerTraffic(model="other"), BEGAN) == {}


def test_the_bandit_leaves_out_what_is_too_young_to_speak_for_all(
    log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOOKINGS_DATABASE", log)
    predict(log, "3", True)
    predict(log, "3", False, at="now")
    assert main.known(config.reference(), BEGAN) == {"3": (2, 1)}
    assert main.known(config.SteerTraffic(mature=600), BEGAN) == {"3": (1, 1)}


def platform(url: str) -> Any:
    return Some(access={"BOOKINGS_DATABASE": url}, bookings=lambda: psycopg.connect(url))


def test_a_rollout_counts_the_wrong_decisions_of_its_versions_since_it_began(log: str) -> None:
    fill(log)
    assert live.outcomes(platform(log), "delay", ["3", "4"], BEGAN) == {"3": (2, 1), "4": (1, 0)}


def test_a_rollout_goes_by_the_clock_of_the_log(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine that the rollout runs on is an hour ahead."""
    began = datetime.now(UTC) + timedelta(hours=1)
    clock = Some(now=lambda _: began + timedelta(seconds=60), fromisoformat=datetime.fromisoformat)
    monkeypatch.setattr(live, "datetime", clock)
    predict(log, "3", True, at="now")
    assert live.outcomes(platform(log), "delay", ["3"], began.isoformat()) == {"3": (1, 0)}


def test_where_nothing_was_ever_logged_no_outcome_is_known(postgresql: postgres.Server) -> None:
    assert live.outcomes(platform(postgresql.create("empty")), "delay", ["3"], BEGAN) == {}
    postgresql.end_connections("empty")
