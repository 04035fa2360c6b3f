"""What is read of an experiment from the log, in a real PostgreSQL with the schema of the booking service."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from client import ClientError, experiments
from client.experiments import Question
from tests.unit import postgres
from workloads.booking_api import schema

ASKED = Question(name="delay-v4", shares={"stable": 0.5, "canary": 0.5})
PREDICTION = """
INSERT INTO predictions
    (request_id, model, version, experiment, variant, user_key, features, score, decision, price)
VALUES (%s, 'delay', '3', %s, %s, %s, '{}', 0.25, %s, 12.50)
"""


@pytest.fixture
def log(postgresql: postgres.Server) -> Iterator[Any]:
    """An empty log."""
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS experiments")
    with psycopg.connect(postgresql.create("experiments")) as connection:
        schema.migrate(connection)
        connection.commit()
        yield connection


def predict(log: Any, request: str, user: str, arm: str | None, decision: str = "rebooking") -> None:
    name = "delay-v4" if arm else None
    log.execute(PREDICTION, (request, name, arm, user, decision))


def arrive(log: Any, request: str, outcome: float, minute: int) -> None:
    log.execute(
        "INSERT INTO outcomes (request_id, at, outcome, source) VALUES (%s, %s, %s, 'arrivals')",
        (request, f"2026-01-02T03:{minute:02}:00Z", outcome),
    )


@pytest.mark.parametrize("query", [experiments._ASSIGNED, experiments._CROSSED])
def test_an_experiment_is_found_by_an_index(log: Any, query: str) -> None:
    log.execute("SET enable_seqscan = off")  # An empty log is read faster than any index.
    plan = log.execute("EXPLAIN " + query.replace("%(name)s", "'delay-v4'")).fetchall()
    assert "predictions_by_experiment" in str(plan)


def test_each_user_counts_once_by_the_outcome_that_was_known_first(log: Any) -> None:
    for request, user, arm in (
        ("a1", "a", "stable"),
        ("a2", "a", "stable"),
        ("b1", "b", "canary"),
        ("c1", "c", "canary"),
    ):
        predict(log, request, user, arm)
    predict(log, "d1", "d", None)
    arrive(log, "a1", 0, 9)
    arrive(log, "a2", 1, 5)
    arrive(log, "b1", 0, 7)
    arrive(log, "d1", 1, 1)
    log.commit()
    found = experiments.read(log, ASKED)
    assert (found.arms, found.values.tolist()) == (["stable", "canary"], [1.0, 0.0])
    assert found.assigned == {"stable": 1, "canary": 2}
    assert found.crossed == 0
    every = experiments.read(log, replace(ASKED, every_request=True))
    assert (every.arms, every.values.tolist()) == (["stable", "canary", "stable"], [1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("metric", "value"), [("hit", 0.0), ("outcome", 0.75), ("score", 0.25), ("price", 12.5)]
)
def test_every_metric_is_a_number(log: Any, metric: str, value: float) -> None:
    predict(log, "a1", "a", "stable", "insurance")
    arrive(log, "a1", 0.75, 1)
    log.commit()
    for question in (replace(ASKED, metric=metric), replace(ASKED, metric=metric, every_request=True)):
        assert experiments.read(log, question).values.tolist() == [value]


def test_a_user_of_two_arms_is_noticed(log: Any) -> None:
    predict(log, "a1", "a", "stable")
    predict(log, "a2", "a", "canary")
    log.commit()
    assert experiments.read(log, ASKED).crossed == 1


def test_an_experiment_that_the_log_has_not_is_refused_with_those_it_has(log: Any) -> None:
    with pytest.raises(ClientError, match=r"no prediction of experiment delay-v5\n.*it has: none"):
        experiments.read(log, replace(ASKED, name="delay-v5"))
    predict(log, "a1", "a", "stable")
    log.commit()
    with pytest.raises(ClientError, match="it has: delay-v4"):
        experiments.read(log, replace(ASKED, name="delay-v5"))
