"""What the reaction does to a model: on the real functions of `client`, with traffic that is arithmetic."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import pairwise
from types import SimpleNamespace as Some
from typing import Any

import httpx
import pytest
from kubernetes import client as k8s

from client import jobs, models, registry, rollouts, traffic
from client.errors import ClientError
from client.rollout_record import CANARY, ROLLED_BACK, STABLE, STOPPED, record_of
from client.rollouts import promote
from react import act, compare
from react.act import Page, Retrain, Rollback, registered, training_of
from react.controller import Later, Outcome
from react.policy import Training
from react.trail import Reaction
from tests.unit.reaction import at
from tests.unit.rollout_world import World
from tests.unit.test_react_compare import both, flights, scored
from workloads.common import LOAD_RECORD
from workloads.settings import changed
from workloads.train_delay import config


def reaction(action: str = "rollback", number: int = 7, version: str = "4") -> Reaction:
    labels = {"alertname": "ModelFails", "model": "delay", "version": version}
    return Reaction(
        number, at(3), "f1", at(0), "ModelFails", "delay", version, labels, "bad version", action, "rule",
        "rule bad version", None, "", {},
    )  # fmt: skip


LOADED = {
    "2013-05": [1, 31], "2013-06": [1, 30], "2013-07": [1, 31], "2013-08": [1, 31], "2013-09": [1, 30],
    "2013-10": [1, 30],
}  # fmt: skip
"""First and last day of each month: October is not over."""
NEWEST = Training.model_validate({"months": {"train": 2}})


def killed(*_: Any, **__: Any) -> None:
    raise KeyboardInterrupt


@pytest.fixture
def notes() -> list[str]:
    return []


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Version 3 gets most, version 4 is a canary."""
    made = World(monkeypatch)
    promote(made.platform, "delay", "3", to=STABLE)
    promote(made.platform, "delay", "4", to=CANARY)
    made.seen.clear()
    return made


# --- rollback -----------------------------------------------------------------------------------------------


def test_the_version_of_the_alert_loses_its_traffic(world: World, notes: list[str]) -> None:
    outcome = Rollback(world.platform)(reaction(), notes.append)
    assert outcome == Outcome("done", {"left": "4", "weights": {"3": 1000}})
    assert world.now.weights == {"3": 1000}
    record = record_of(world.now)
    assert record is not None
    assert (record.ended, record.reason) == (ROLLED_BACK, "reaction 7 of 2026-01-01T00:03:00Z: ModelFails")
    assert notes == ["version 4 loses its traffic"]


def test_a_rollback_that_was_done_by_a_lost_process_is_not_done_again(world: World, notes: list[str]) -> None:
    Rollback(world.platform)(reaction(), notes.append)
    world.seen.clear()
    before = world.now.item["metadata"]["resourceVersion"]
    assert Rollback(world.platform)(reaction(), notes.append).result == "done"
    assert world.now.item["metadata"]["resourceVersion"] == before
    assert notes[-1] == "it was rolled back before this process began"


def test_a_rollback_is_not_rolled_back(world: World, notes: list[str]) -> None:
    Rollback(world.platform)(reaction(), notes.append)
    outcome = Rollback(world.platform)(reaction(number=8, version="3"), notes.append)
    assert outcome.result == "refused: there is no rollout of model 'delay' to take back"
    again = Rollback(world.platform)(reaction(number=9), notes.append)
    assert again.result == "refused: version 4 gets no requests of the default rule"
    assert world.seen == [{"3": 1000}]


def test_the_version_that_was_there_before_is_not_what_a_rollback_takes_away(
    world: World, notes: list[str]
) -> None:
    outcome = Rollback(world.platform)(reaction(version="3"), notes.append)
    assert outcome.result == "refused: the last rollout of model 'delay' is of version 4, not of 3"
    assert world.seen == []


def test_a_model_without_traffic_is_refused(world: World, notes: list[str]) -> None:
    world.route = None
    assert "model 'delay' has no traffic" in Rollback(world.platform)(reaction(), notes.append).result


@pytest.mark.parametrize(("status", "later"), [(503, True), (429, True), (403, False)])
def test_an_api_server_that_does_not_answer_now_is_asked_again(
    world: World, notes: list[str], monkeypatch: pytest.MonkeyPatch, status: int, later: bool
) -> None:
    real = world.request

    def refuse(api: Any, method: str, path: str, **more: Any) -> str:
        if method == "PUT":
            raise k8s.ApiException(status=status, reason="no")
        return real(api, method, path, **more)

    monkeypatch.setattr(traffic, "request", refuse)
    if later:
        with pytest.raises(Later):
            Rollback(world.platform)(reaction(), notes.append)
    else:
        assert "was refused" in Rollback(world.platform)(reaction(), notes.append).result


# --- page ---------------------------------------------------------------------------------------------------


def page(monkeypatch: pytest.MonkeyPatch, answer: Callable[[httpx.Request], httpx.Response]) -> Page:
    transport = httpx.MockTransport(answer)

    def post(url: str, *, trust_env: bool, timeout: float, **more: Any) -> httpx.Response:
        with httpx.Client(transport=transport) as asked:
            return asked.post(url, **more)

    monkeypatch.setattr(act.httpx, "post", post)
    return Page("http://pager.example/hook")


def test_a_person_is_told_with_a_key_that_stays_the_same(
    monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    sent: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(202)

    tell = page(monkeypatch, take)
    assert tell(reaction("page"), notes.append) == Outcome("done", {"dedup_key": "react-7-20260101T000300Z"})
    tell(reaction("page"), notes.append)
    bodies = [json.loads(each.content) for each in sent]
    assert bodies[0] == bodies[1]
    assert bodies[0]["labels"]["version"] == "4"
    assert {each.headers["idempotency-key"] for each in sent} == {bodies[0]["dedup_key"]}


def test_a_pager_that_does_not_answer_is_asked_again_and_one_that_refuses_is_not(
    monkeypatch: pytest.MonkeyPatch, notes: list[str]
) -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody is there")

    for answer in (away, lambda _: httpx.Response(502), lambda _: httpx.Response(429)):
        with pytest.raises(Later):
            page(monkeypatch, answer)(reaction("page"), notes.append)
    refused = page(monkeypatch, lambda _: httpx.Response(401, text="no key"))
    assert refused(reaction("page"), notes.append).result == "failed: it was answered 401: no key"
    assert Page("")(reaction("page"), notes.append).result.startswith("untold: ")


# --- retraining ---------------------------------------------------------------------------------------------


@dataclass
class Mlflow:
    """A registry in which a training registers a version when it ends."""

    versions: list[Any] = field(default_factory=list)
    runs: list[Any] = field(default_factory=list)

    def add(self, version: str, run: str, weights: str, training: str = "", model: str = "delay-c") -> None:
        self.versions.append(Some(name=model, version=version, run_id=run, tags={"weights_sha256": weights}))
        self.runs.append(Some(info=Some(run_id=run), training=training))

    def search_experiments(self) -> list[Any]:
        return [Some(experiment_id="1")]

    def search_runs(self, experiments: list[str], query: str) -> list[Any]:
        assert experiments == ["1"]
        assert "attributes.status = 'FINISHED'" in query
        return [each for each in self.runs if each.training and f"'{each.training}'" in query]

    def search_model_versions(self, query: str) -> list[Any]:
        key, _, value = query.partition(" = ")
        return [each for each in self.versions if f"'{getattr(each, key)}'" == value]


class Trained:
    """A platform on which version 3 of `delay` serves, and a training registers version 5 when it ends."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world, self.mlflow = world, Mlflow()
        self.mlflow.add("3", "run-3", "w3")
        self.mlflow.add("4", "run-4", "w4")
        self.new_weights, self.fails, self.left = "w5", "", set[str]()
        self.deployed: list[dict[str, Any]] = []
        self.job: dict[str, Any] | None = None
        self.followed = 0
        self.scores: dict[str, float | None] = {"new": None, "old": 0.25}
        self.against, self.months = "delay-c/3", LOADED
        self.kept: dict[str, Any] = {}
        world.platform.mlflow = lambda: self.mlflow
        world.platform.access = {"S3_BUCKET": "datasets"}
        world.platform.s3 = lambda: Some(get_object=self._record)
        self._install(monkeypatch)

    def _install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        world, rows = self.world, flights()
        monkeypatch.setattr(act.client, "offers", lambda _: {"served": {"TrainJob"}, "queue": None})
        monkeypatch.setattr(act.client, "deploy", self._deploy)
        monkeypatch.setattr(jobs, "kinds", lambda _: [])
        handle = Some(read=self._read)
        monkeypatch.setattr(jobs, "jobs", lambda _, objects: [handle for _ in objects])
        monkeypatch.setattr(jobs, "follow", self._follow)

        def served(*_: Any) -> list[Any]:
            return [
                Some(version=version, ready=ready, model="delay-c", run_id=f"run-{version}", image="server:1",
                     replicas=2)
                for version, ready in world.versions.items()
            ]  # fmt: skip

        def serve(_: Any, found: Any, *, name: str, image: str, size: Any) -> None:
            assert (name, image, size.replicas) == ("delay", "server:1", 2)
            world.versions[found.version] = True

        monkeypatch.setattr(models, "served", served)
        monkeypatch.setattr(models, "serve", serve)
        monkeypatch.setattr(registry, "resolve", lambda _, model, version: Some(version=version, model=model))

        def tested(_: Any, run: str) -> Any:
            assert run == "run-5"
            told = (rows["late_probability"] if score is None else score for score in self.scores.values())
            found = both(*(scored(rows, each) for each in told))
            return replace(found, against=self.against)

        monkeypatch.setattr(act, "tested", tested)

    def _record(self, *, Bucket: str, Key: str) -> dict[str, Any]:
        assert (Bucket, Key) == ("datasets", LOAD_RECORD)
        return {"Body": BytesIO(json.dumps({"tables": {"flights": {"months": self.months}}}).encode())}

    def keep(self, _: Reaction, detail: dict[str, Any]) -> dict[str, Any]:
        self.kept = detail | self.kept
        return self.kept

    def _deploy(self, _: Any, name: str, objects: list[dict[str, Any]], *, wait: bool) -> None:
        assert (name, wait) == ("react-delay", False)
        (self.job,) = objects
        self.deployed += objects

    def _read(self) -> dict[str, Any]:
        if self.job is None:
            raise k8s.ApiException(status=404)
        return self.job

    def _follow(self, _: Any, deadline: float) -> None:
        assert deadline == 7200
        self.followed += 1
        if self.fails:
            raise ClientError(self.fails, "see its log")
        training = next(
            each["value"] for each in self._read()["spec"]["trainer"]["env"] if each["name"] == "TRAINING_ID"
        )
        self.mlflow.add("5", "run-5", self.new_weights, training)

    def __call__(self, notes: list[str], settings: Training | None = None) -> Outcome:
        trail: Any = Some(left=lambda _: self.left, keep=self.keep)
        retrain = Retrain(self.world.platform, settings or Training(), "here/workloads:1", trail)
        return retrain(replace(reaction("retrain"), detail=self.kept), notes.append)

    @property
    def given(self) -> list[str]:
        """What the last training was told to do otherwise than its configuration says."""
        command = self.deployed[-1]["spec"]["trainer"]["command"]
        return [word for option, word in pairwise(command) if option == "--set"]


@pytest.fixture
def trained(world: World, monkeypatch: pytest.MonkeyPatch) -> Trained:
    rollouts.rollback(world.platform, "delay")  # Version 3 has everything, and 4 was taken back.
    world.versions.pop("4")
    world.seen.clear()
    return Trained(world, monkeypatch)


def test_a_better_version_becomes_a_canary(trained: Trained, notes: list[str]) -> None:
    outcome = trained(notes, Training(set={"epochs": "3"}, ranks=3))
    assert outcome.result == "done"
    assert outcome.detail["canary"] == "5"
    assert outcome.detail["comparison"]["high"] < 0
    assert trained.world.now.weights == {"3": 950, "5": 50}
    (job,) = trained.deployed
    assert job["metadata"]["name"] == "react-delay"
    assert job["spec"]["trainer"]["numNodes"] == 3
    assert trained.given == ["epochs=3", "against=delay-c/3"]
    assert {"name": "TRAINING_ID", "value": training_of(reaction())} in job["spec"]["trainer"]["env"]
    assert [each.split()[0] for each in notes] == ["training", "version", "version"]


@pytest.mark.parametrize(("of_new", "gain"), [(0.25, 0.0), (0.9, 0.0), (None, 0.5)])
def test_a_version_that_is_not_better_gets_no_traffic_and_that_is_said(
    trained: Trained, notes: list[str], of_new: float | None, gain: float
) -> None:
    trained.scores["new"] = of_new
    outcome = trained(notes, Training(gain=gain))
    assert outcome.result.startswith("not better: version 5 is not shown to be better than 3: log-loss ")
    assert outcome.detail["comparison"]["flights"] == 6200
    assert trained.world.seen == []
    assert "5" not in trained.world.versions


def test_a_version_that_was_taken_back_is_not_promoted_nor_is_one_with_its_weights(
    trained: Trained, notes: list[str]
) -> None:
    trained.new_weights = "w4"
    outcome = trained(notes)
    assert outcome.result == (
        "refused: version 5 is not promoted: it is what version 4 was, which was taken back"
    ), "the last rollout's record says so"
    assert trained.world.seen == []


def test_a_version_that_an_earlier_reaction_took_back_is_not_promoted_either(
    trained: Trained, notes: list[str]
) -> None:
    trained.mlflow.add("2", "run-2", "w5")
    trained.left = {"2"}
    assert "it is what version 2 was" in trained(notes).result
    assert trained.world.seen == []


def test_it_learns_from_the_newest_whole_months_and_is_tested_on_the_last(
    trained: Trained, notes: list[str]
) -> None:
    assert trained(notes, NEWEST).result == "done"
    assert trained.given == [
        "against=delay-c/3", "train_months=6,7", "validation_months=8", "test_months=9"
    ]  # fmt: skip
    assert notes[0].endswith(" against delay-c/3, months: train 6, 7; validation 8; test 9")
    assert changed(config.reference(), trained.given).test_months == (9,)


def test_who_goes_on_with_a_retraining_takes_the_same_months_and_version(
    trained: Trained, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deploy = trained._deploy
    monkeypatch.setattr(act.client, "deploy", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(notes, NEWEST)
    monkeypatch.setattr(act.client, "deploy", deploy)
    trained.months = {**LOADED, "2013-10": [1, 31]}  # Another load, and another version that serves.
    trained.world.versions["4"] = True
    promote(trained.world.platform, "delay", "4", to=STABLE)
    outcome = trained(notes, NEWEST)
    assert trained.given == [
        "against=delay-c/3", "train_months=6,7", "validation_months=8", "test_months=9"
    ]  # fmt: skip
    assert outcome.result == (
        "refused: versions 5 and 4: it was tested against delay-c/3, which is no longer what is served"
    )


@pytest.mark.parametrize(
    ("months", "words"),
    [
        (
            dict(list(LOADED.items())[-4:]),
            "has 3 whole months (2013-07, 2013-08, 2013-09), a retraining takes 4",
        ),
        ({**LOADED, "2012-08": [3, 4]}, "has month 8 of more than one year"),
        (None, "names no months of the flights"),
    ],
)
def test_a_load_without_the_months_is_refused_before_anything_is_trained(
    trained: Trained, notes: list[str], months: dict[str, list[int]], words: str
) -> None:
    trained.months = months
    assert words in trained(notes, NEWEST).result
    assert trained.deployed == []
    assert trained(notes).result == "done", "the configuration's months need no load's word"


def test_a_canary_that_fails_is_named_as_left(trained: Trained, notes: list[str]) -> None:
    trained.world.bad["5"] = (0.5, 0, 0)
    outcome = trained(notes)
    assert outcome.result.startswith("rolled back: its error rate is over the limit")
    assert outcome.detail["left"] == "5"
    assert trained.world.now.weights == {"3": 1000}


def test_a_training_that_fails_is_told_with_its_cause(trained: Trained, notes: list[str]) -> None:
    trained.fails = "workload react-delay failed: no such snapshot"
    assert trained(notes).result == "refused: workload react-delay failed: no such snapshot"


def test_a_training_that_is_under_way_is_gone_on_with_and_one_that_ended_is_not_repeated(
    trained: Trained, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    follow = trained._follow
    monkeypatch.setattr(jobs, "follow", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(notes)
    monkeypatch.setattr(jobs, "follow", follow)
    monkeypatch.setattr(act, "compare", killed)
    with pytest.raises(KeyboardInterrupt):
        trained(notes)
    monkeypatch.setattr(act, "compare", compare.compare)
    assert trained(notes).result == "done"
    assert (len(trained.deployed), trained.followed) == (1, 1)


def test_the_job_of_another_training_is_replaced(trained: Trained, notes: list[str]) -> None:
    trained.job = {"spec": {"trainer": {"env": [{"name": "TRAINING_ID", "value": "react-delay-3-1"}]}}}
    assert trained(notes).result == "done"
    assert len(trained.deployed) == 1


def test_a_canary_that_was_begun_by_a_lost_process_is_gone_on_with_and_an_ended_one_is_the_result(
    trained: Trained, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def kill() -> None:
        raise Killed

    trained.world.after(1, kill)  # In the middle of the first step.
    with pytest.raises(Killed):
        trained(notes)
    record = record_of(trained.world.now)
    assert record is not None
    assert (record.version, record.ended) == ("5", "")
    assert trained(notes).result == "done"
    monkeypatch.setattr(rollouts, "promote", lambda *_, **__: pytest.fail("it is a canary already"))
    assert trained(notes).result == "done"


def test_a_canary_that_somebody_stopped_is_left_to_them(
    trained: Trained, notes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any, **__: Any) -> Any:
        return replace(record_of(trained.world.now), version="5", ended=STOPPED, reason="somebody else")  # type: ignore[type-var]

    monkeypatch.setattr(rollouts, "promote", stop)
    assert trained(notes).result == "refused: its rollout ended as stopped: somebody else"


def test_a_training_is_known_by_its_id_alone() -> None:
    server = Mlflow()
    server.add("9", "run-9", "w9", "react-delay-7-1")
    found = registered(Some(mlflow=lambda: server), "react-delay-7-1")  # type: ignore[arg-type]
    assert found is not None
    assert (found.version, found.weights) == ("9", "w9")
    assert registered(Some(mlflow=lambda: server), "react-delay-8-1") is None  # type: ignore[arg-type]
    assert training_of(reaction()) == "react-delay-7-6955b9b4"
