"""Who reads rewards from the log counts a corrected outcome once, by its present value and in its place."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from client import experiments, live
from client.experiments import Question
from tests.unit import postgres
from tests.unit.test_known_outcomes import BEGAN, platform, predict
from tests.unit.test_steer_traffic import Server
from workloads.booking_api import corrections, schema
from workloads.booking_api.corrections import Correction
from workloads.booking_api.database import Database
from workloads.booking_api.journal import Teller
from workloads.steer_traffic import config, main
from workloads.steer_traffic.steering import Holds, Note, decide

NAME = "corrected"
EXPERIMENT = Question(name="x", shares={"stable": 0.5, "canary": 0.5}, every_request=True)


@pytest.fixture
def log(postgresql: postgres.Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of a log of four right decisions, of which the experiment's are the last two."""
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {NAME}")
    url = postgresql.create(NAME)
    with psycopg.connect(url) as connection:
        schema.migrate(connection)
    for version, experiment in (("3", None), ("4", None), ("3", "x"), ("3", "x")):
        predict(url, version, True, experiment=experiment)
    monkeypatch.setenv("BOOKINGS_DATABASE", url)
    yield url
    postgresql.end_connections(NAME)


def correct(url: str, request_id: str, *outcomes: float) -> None:
    """Correct an outcome several times."""

    async def work() -> None:
        database = Database(url, connections=1, seconds=60)
        await database.open()
        for outcome in outcomes:
            given = [Correction(request_id, outcome, "airline", "the gate was misread")]
            assert await corrections.correct(database, given, Teller(None)) == 1
        await database.close()

    asyncio.run(work())


def test_a_rollout_counts_it_once(log: str) -> None:
    correct(log, "r0", 0.25, 0)
    assert live.outcomes(platform(log), "delay", ["3", "4"], BEGAN) == {"3": (1, 1), "4": (1, 0)}


def test_the_bandit_counts_it_once_and_takes_it_for_nothing_new(log: str) -> None:
    settings = config.SteerTraffic(batch=1, warm_up=1)
    route: Any = Server(v3=900, v4=100).route
    moved = decide(settings, route, Note("b", BEGAN, ["3", "4"]), main.known(settings, BEGAN)).note
    correct(log, "r0", 0.25, 0)
    known = main.known(settings, BEGAN)
    assert known == {"3": (1, 0), "4": (1, 1)}
    with pytest.raises(Holds, match="0 of 1 new outcomes since the last move"):
        decide(settings, route, moved, known)


@pytest.mark.parametrize("every_request", [True, False])
def test_an_experiment_counts_it_once_and_in_its_place(log: str, every_request: bool) -> None:
    correct(log, "r2", 0.25, 0)
    with psycopg.connect(log) as connection:
        found: Any = experiments.read(connection, replace(EXPERIMENT, every_request=every_request))
    assert found.values.tolist() == ([0.0, 1.0] if every_request else [0.0])
