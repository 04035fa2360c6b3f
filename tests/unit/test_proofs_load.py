"""The load of proofs: the same moments each time, and a wrong answer of whatever kind is counted and told."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from random import Random
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import psycopg
import pytest

from client.waiting import until
from proofs import load, rollouts
from proofs.load import Tally, Wrong
from proofs.subjects import data
from tests.unit import model_server, postgres
from workloads.generate_load.plan import Plan

DICE = "13 test"


# --- when and how often -------------------------------------------------------------------------------------


def test_moments_are_the_same_each_time_and_as_many_as_planned() -> None:
    found = load.moments(Random("13 runs"), 10, 1800)
    assert found == load.moments(Random("13 runs"), 10, 1800)
    assert found != load.moments(Random("13 rows"), 10, 1800)
    assert found == sorted(found)
    assert found[-1] < 1800
    assert 140 < len(found) < 220  # 180, and three standard deviations.
    gaps = [later - earlier for earlier, later in pairwise(found)]
    assert min(gaps) < 1 < 20 < max(gaps), "users know nothing of each other"


def asked(fails: int, kinds: int = 1) -> tuple[Tally, list[float]]:
    """What came of a load of which the first few requests fail, and what was drawn."""
    drawn: list[float] = []

    def ask(dice: Random) -> None:
        drawn.append(dice.random())
        if len(drawn) <= fails:
            raise Wrong(f"answer {len(drawn)}: 1 instead of 2")

    with load.asking("runs", 0.002, ask, 0.05) as tally:
        until(lambda: tally.asked == tally.planned, "all to be asked", 20, every=0.01)
    return tally, drawn


def test_each_request_is_made_once_with_the_same_content_each_time() -> None:
    tally, drawn = asked(fails=0)
    assert (tally.asked, tally.failed, tally.said) == (tally.planned, 0, [])
    assert tally.planned == len(drawn) > 5
    assert asked(fails=0)[1] == drawn


def test_a_wrong_answer_is_counted_and_told_and_the_load_goes_on() -> None:
    tally, drawn = asked(fails=5)
    assert (tally.asked, tally.failed) == (len(drawn), 5)
    assert len(tally.said) == load.EXAMPLES
    assert tally.said[0] == "after 0 s: Wrong: 'answer 1: 1 instead of 2'"


def test_it_ends_at_once_with_whoever_made_it() -> None:
    with pytest.raises(KeyError), load.asking("runs", 1e5, lambda _: None, 1e6):
        raise KeyError("the proof's own error")
    assert not [thread for thread in threading.enumerate() if thread.name == "load-runs"]


# --- predictions --------------------------------------------------------------------------------------------


@pytest.fixture
def model() -> Iterator[model_server.ModelServer]:
    with model_server.running() as found:
        yield found


def predicted(model: model_server.ModelServer, version: str) -> Tally:
    """What came of twenty questions or so."""
    plan = Plan(
        url=f"{model.url}/v2", rate=100, seconds=60, requests=1, bodies=(b'{"inputs": []}',),
        count_header="x-model-version",
    )  # fmt: skip
    with load.predicting((version, plan), 0.2) as tally:
        until(lambda: len(model.asked) == tally.planned, "all to be asked", 20, every=0.01)
    return tally


def test_predictions_are_asked_by_plan_and_each_must_be_of_the_version(
    model: model_server.ModelServer,
) -> None:
    right = predicted(model, "3")
    assert (right.asked, right.failed, right.said) == (right.planned, 0, [])
    assert right.planned > 5
    model.asked.clear()
    assert predicted(model, "4").failed == right.planned


def test_a_prediction_without_an_answer_is_told(model: model_server.ModelServer) -> None:
    model.status = 500
    tally = predicted(model, "3")
    assert tally.failed == tally.planned
    assert len(tally.said) == load.EXAMPLES
    assert "500" in tally.said[0]


# --- what users do ------------------------------------------------------------------------------------------


def test_a_question_with_another_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = [("UA", 0.3), ("AA", 0.1)]
    ours: list[tuple[str, float]] = [("UA", 0.1 + 0.2), ("AA", 0.1)]
    monkeypatch.setattr(data, "right_answer", lambda _: theirs)
    monkeypatch.setattr(data, "answer", lambda *_: ours)
    platform: Any = None
    with load.queries(platform) as ask:
        ask(Random(DICE))
        ours[1] = ("AA", 0.2)
        with pytest.raises(Wrong, match=r"\('AA', 0.2\) instead of \('AA', 0.1\)"):
            ask(Random(DICE))
        del ours[1]
        with pytest.raises(Wrong, match=r"rows: .*: 1 instead of 2"):
            ask(Random(DICE))


class Tracking:
    """An MLflow that keeps one run; `lost` steps of its metrics are forgotten."""

    def __init__(self, lost: int = 0) -> None:
        self.lost, self.course = lost, list[str]()
        self.metrics: list[Any] = []
        self.text = ""

    def get_experiment_by_name(self, _: str) -> Any:
        return Some(experiment_id="7")

    def create_run(self, experiment: str) -> Any:
        self.course.append(f"made in {experiment}")
        return Some(info=Some(run_id="r1"))

    def log_batch(self, _: str, metrics: list[Any]) -> None:
        self.metrics = metrics[self.lost :]

    def log_text(self, _: str, text: str, __: str) -> None:
        self.text = text

    def set_terminated(self, _: str) -> None:
        self.course.append("ended")

    def get_metric_history(self, *_: str) -> list[Any]:
        return self.metrics

    def download_artifacts(self, _: str, name: str, folder: str) -> str:
        (Path(folder) / name).write_text(self.text)
        return f"{folder}/{name}"

    def delete_run(self, _: str) -> None:
        self.course.append("deleted")


def test_a_run_is_read_again_and_deleted() -> None:
    server = Tracking()
    platform: Any = Some(mlflow=lambda: server)
    with load.runs(platform) as ask:
        ask(Random(DICE))
    assert server.course == ["made in 7", "ended", "deleted"]
    assert len(server.metrics) == load.STEPS


def test_a_run_that_lost_a_metric_is_told_and_deleted_too() -> None:
    server = Tracking(lost=1)
    platform: Any = Some(mlflow=lambda: server)
    with load.runs(platform) as ask, pytest.raises(Wrong, match="the metrics"):
        ask(Random(DICE))
    assert server.course[-1] == "deleted"


class Store:
    """An object store; it keeps objects that are deleted, or forgets their ends, as told."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {"probe-load-old": b"left by a killed run", "of-another": b"stays"}
        self.keeps = self.cuts = False

    def list_objects_v2(self, Bucket: str, Prefix: str) -> Any:
        found = [{"Key": key} for key in self.held if key.startswith(Prefix)]
        return {"Contents": found} if found else {}

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.held[Key] = Body[:-1] if self.cuts else Body

    def get_object(self, Bucket: str, Key: str) -> Any:
        return {"Body": Some(read=lambda: self.held[Key])}

    def delete_object(self, Bucket: str, Key: str) -> None:
        if not self.keeps:
            del self.held[Key]


def test_objects_are_as_they_were_put_and_gone_when_they_are_deleted() -> None:
    store = Store()
    platform: Any = Some(s3=lambda: store, access={"S3_BUCKET": "lake"})
    with load.objects(platform) as ask:
        assert list(store.held) == ["of-another"]
        ask(Random(DICE))
        store.keeps = True
        with pytest.raises(Wrong, match="after it was deleted"):
            ask(Random(DICE))
        store.keeps, store.cuts = False, True
        with pytest.raises(Wrong, match="the object is as it was"):
            ask(Random(DICE))
    assert list(store.held) == ["of-another"]


def test_bookings_are_made_and_cancelled_in_a_real_database(postgresql: postgres.Server) -> None:
    url = postgresql.create("load")
    platform: Any = Some(postgres=lambda: psycopg.connect(url))

    def tables() -> list[Any]:
        with psycopg.connect(url) as database:
            return database.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()

    for _ in range(2):  # The first one is left as by a kill.
        users = load.rows(platform)
        ask = users.__enter__()
        ask(Random(DICE))
        with psycopg.connect(url) as database:
            assert database.execute(f"SELECT count(*) FROM {load.TABLE}").fetchone() == (0,)
            assert tables() == [(load.TABLE,)]
    with psycopg.connect(url) as database:
        database.execute(f"CREATE RULE no AS ON UPDATE TO {load.TABLE} DO INSTEAD NOTHING")
    with pytest.raises(Wrong, match=r"the booking: \[\(0,\)\]"):
        ask(Random(DICE))
    users.__exit__(None, None, None)
    assert tables() == []


@pytest.mark.parametrize("part", [False, True])
def test_a_model_is_asked_where_there_is_a_gateway_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, part: bool
) -> None:
    course: list[str] = []

    @contextmanager
    def served(_: Any, kind: str) -> Iterator[list[str]]:
        course.append(kind)
        yield ["5"]
        course.append("withdrawn")

    @contextmanager
    def users(_: Any) -> Iterator[load.Ask]:
        course.append("made")
        yield lambda _: None
        course.append("removed")

    monkeypatch.setattr(load, "has_part", lambda _: part)
    monkeypatch.setattr(rollouts, "served", served)
    monkeypatch.setattr(rollouts, "plan", MagicMock())
    monkeypatch.setattr(load, "KINDS", {"rows": (1.0, users)})
    platform: Any = None
    with load.prepared(platform) as kinds:
        assert list(kinds) == ["rows", *(["predictions"] if part else [])]
    of_model = [rollouts.FIRST, "withdrawn"] if part else []
    assert course == ["made", *of_model, "removed"]
