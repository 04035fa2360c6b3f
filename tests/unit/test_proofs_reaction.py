"""The proofs of the reaction, against its own API, controller and trail: what they say when it holds or not.

The model's traffic is arithmetic, and a controller that is killed is a thread that goes no further.
"""

import io
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import SimpleNamespace as Some
from typing import Any

import httpx
import pandas as pd
import psycopg
import pytest

from client.rollout_record import CANARY, STABLE
from client.rollouts import promote
from client.traffic import ROLLOUT
from infra import outputs
from proofs import damage_reaction, faults, pager, reaction, rollouts
from proofs.reaction import Reaction
from proofs.run import REGISTRY, Broken, Check, Result, run_one
from proofs.subjects import reaction as subject
from proofs.subjects import reaction_retraining as retraining
from react import trail as trails
from react.act import Page, Rollback
from react.api import application
from react.controller import Controller
from react.main import now
from react.policy import parse
from react.trail import Trail
from tests.unit.booking_service import listening
from tests.unit.objects import Objects
from tests.unit.rollout_world import World
from workloads.settings import changed as settings_changed
from workloads.train_delay import config

ANSWERED = "an_alert_about_a_version_is_answered_by_its_rollback"
FLAPPING = "an_alert_that_comes_and_goes_acts_once"
KILLED = "a_killed_controller_acts_once"
PAGED = "what_is_left_to_people_is_told_them_once"


AWAY = 5.0
"""Seconds for which nobody reacts: no pod is made anew in less."""


class Lost(Trail):
    """The trail of a process that may be killed: its threads get no further then."""

    killed = False

    def step(self, *arguments: Any) -> None:
        try:
            super().step(*arguments)
        finally:
            if self.killed:
                threading.Event().wait()


class Place:
    """Where the controller runs, and the model that it acts on."""

    def __init__(self, url: str, world: World) -> None:
        self.url, self.world = url, world
        self.running: list[tuple[Lost, Controller, threading.Thread]] = []
        self.reaction: Reaction | None = None

    def start(self, stack: ExitStack) -> None:
        trail = stack.enter_context(Lost(self.url, now, seconds=1.0, name=reaction.SCHEMA))
        acts: Any = {"rollback": Rollback(self.world.platform), "page": Page(self.pages_to)}
        controller = Controller(parse(reaction.POLICY), trail, acts, now)
        thread = threading.Thread(target=controller.run, args=(0.2,), daemon=True)
        thread.start()
        self.running.append((trail, controller, thread))

    def stop(self) -> None:
        trail, controller, thread = self.running[-1]
        trail.killed = True
        controller.leaving.set()
        controller.woken.set()
        thread.join(60)

    @contextmanager
    def reacting(self, platform: Any, pages_to: str = "") -> Iterator[Reaction]:
        self.pages_to = pages_to
        with psycopg.connect(self.url) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {reaction.SCHEMA} CASCADE")
        trails.migrate(self.url, reaction.SCHEMA)
        with ExitStack() as stack:
            self.start(stack)
            self.stack = stack
            kept = stack.enter_context(Trail(self.url, now, name=reaction.SCHEMA))
            address = stack.enter_context(listening(application(kept, "t", self.wake, lambda: True)))
            http = httpx.Client(base_url=address, headers={"authorization": "Bearer t"}, trust_env=False)
            http.timeout = 60
            self.reaction = Reaction(platform, stack.enter_context(http))
            try:
                yield self.reaction
            finally:
                self.stop()

    @contextmanager
    def alerted(self, _: Any, version: str) -> Iterator[None]:
        """What Alertmanager posts, posted."""
        assert self.reaction is not None
        self.reaction.tell(version, "firing", reaction.now())
        yield

    def wake(self) -> None:
        self.running[-1][1].woken.set()

    def kill(self, _: Any) -> str:
        self.stop()
        with psycopg.connect(self.url) as connection:  # What it was just writing goes with its connection.
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'INSERT INTO steps%'"
            )
        time.sleep(AWAY)
        self.start(self.stack)
        return "probe-react-0"


@contextmanager
def paged(_: Any) -> Iterator[pager.Pager]:
    """The pager's own program, on this machine."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    script = pager.SCRIPT.replace("PORT", str(port))
    with (
        subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL) as process,
        httpx.Client(base_url=url, trust_env=False) as http,
    ):
        try:
            yield pager.Pager(url, http)
        finally:
            process.kill()


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    monkeypatch.setattr(rollouts, "NAME", "delay")
    return made


@pytest.fixture
def platform(world: World, trail_url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A platform with the controller; `promote` needs no load there."""
    place = Place(trail_url, world)

    @contextmanager
    def served(*_: Any) -> Iterator[list[str]]:
        world.route = None
        promote(world.platform, "delay", "3", to=STABLE)
        yield ["3", "4"]

    def canary(platform: Any, version: str) -> dict[str, int]:
        promote(world.platform, "delay", version, to=CANARY, steps=[reaction.SHARE])
        if world.forgetful:  # type: ignore[attr-defined]
            world.write(lambda route: route.noted(ROLLOUT, None))
        return dict(world.now.weights)

    world.forgetful = False  # type: ignore[attr-defined]
    monkeypatch.setattr(reaction, "POLICY", reaction.POLICY.replace("probe-rollout", "delay"))
    monkeypatch.setattr(pager, "running", paged)
    monkeypatch.setattr(rollouts, "served", served)
    monkeypatch.setattr(rollouts, "until_answered_by", lambda *_: None)
    for name, value in {
        "reacting": place.reacting,
        "canary": canary,
        "kill": place.kill,
        "alerted": place.alerted,
    }.items():
        monkeypatch.setattr(reaction, name, value)
    monkeypatch.setattr(reaction, "weights", lambda _: dict(world.now.weights))
    access = dict.fromkeys(outputs.SECRET_ACCESS_OF["serving"], "x")
    return Some(access=access, name="dev", bookings=lambda: psycopg.connect(trail_url))


def proven(platform: Any, name: str) -> Result:
    assert subject is not None
    return run_one(REGISTRY[f"reaction.{name}"], platform, None)


@pytest.mark.parametrize("name", [ANSWERED, FLAPPING, KILLED, PAGED])
def test_they_pass_where_it_holds(platform: Any, name: str) -> None:
    result = proven(platform, name)
    assert (result.result, result.cause) == ("passed", "")
    assert result.assertions >= 4


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (damage_reaction.short_memory, FLAPPING),
        (damage_reaction.lost_intents, KILLED),
        (damage_reaction.lost_pages, PAGED),
    ],
)
def test_a_fault_of_the_trail_reddens_its_proof(
    platform: Any, fault: Callable[[Any], AbstractContextManager[None]], name: str
) -> None:
    with fault(platform):
        broken = proven(platform, name)
    told(fault, name, broken)


def test_a_forgotten_canary_reddens_the_proof_of_its_rollback(platform: Any, world: World) -> None:
    world.forgetful = True  # type: ignore[attr-defined]
    told(damage_reaction.forgotten_canary, ANSWERED, proven(platform, ANSWERED))


def told(fault: Any, name: str, broken: Result) -> None:
    (described,) = [each for each in faults.FAULTS.values() if each.breaks is fault]
    assert described.reddens == (f"reaction.{name}",)
    assert broken.result == "failed"
    assert any(word in broken.cause for word in described.words), broken.cause


def test_a_canary_that_lost_its_record_is_what_the_fault_makes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from client import traffic
    from client.waiting import until

    monkeypatch.setattr("proofs.damage_rollouts.NAME", "delay")
    promote(world.platform, "delay", "3", to=STABLE)
    promote(world.platform, "delay", "4", to=CANARY)
    with damage_reaction.forgotten_canary(world.platform):
        until(lambda: traffic.Route(world.now.item).note(ROLLOUT) is None, "the record to be gone", 60)


def test_it_is_deployed_with_a_token_a_policy_and_a_trail_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaction.probe, "workload_image", lambda _: "here/workloads:1")
    made = {each["kind"]: each for each in reaction.objects(Some(), reaction.POLICY)}  # type: ignore[arg-type]
    (main,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    asked = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef") for each in main["env"]}
    for variable, of, values in (
        ("REACT_TOKEN", "token", {"token": "abc"}),
        ("PAGE_URL", "page", {"url": "http://pager"}),
    ):
        secret = reaction.secret(of, **values)
        assert asked[variable]["name"] == secret["metadata"]["name"]
        assert secret["stringData"].keys() == {asked[variable]["key"]}
    assert "schema=probe_react" in main["command"]
    policy = parse(made["ConfigMap"]["data"]["policy.yaml"])
    rule = policy.rule_of({"alertname": reaction.ALERT, "model": rollouts.NAME})
    assert rule is not None
    assert rule.action == "rollback"


@pytest.mark.parametrize("settings", [rollouts.NEXT_TO_NOTHING, retraining.ENOUGH])
def test_the_policy_of_a_retraining_trains_the_proofs_model(settings: dict[str, str]) -> None:
    found = parse(reaction.POLICY + retraining.policy(settings))
    rule = found.rule_of({"alertname": reaction.DRIFT, "model": rollouts.NAME})
    assert rule is not None
    assert rule.action == reaction.RETRAIN
    changed = [f"{key}={value}" for key, value in found.training.set.items()]
    assert settings_changed(config.reference(), changed).model == rollouts.NAME
    assert found.training.steps == [reaction.SHARE]
    assert found.training.months is not None
    newest = set(range(13 - found.training.months.together, 13))
    learned = {*config.reference().train_months, *config.reference().validation_months}
    assert not newest & learned, (
        "of a load of a year, a version of the reference has learned from none of them"
    )


NEW, OLD = {"train": (9, 10), "validation": (11,), "test": (12,)}, (1, 2)


@pytest.mark.parametrize(
    ("new", "old", "words"),
    [
        (NEW, OLD, ""),
        ({**NEW, "train": (9, 12), "validation": (11,)}, OLD, "it learned from the newest months"),
        ({"train": (1, 2), "validation": (6,), "test": (7,)}, OLD, "it learned from the newest months"),
        (NEW, (1, 11), "the served version knows none of them"),
        ({**NEW, "against": "other/1"}, OLD, "both were scored in its test"),
    ],
)
def test_a_retraining_that_learns_nothing_new_is_seen(new: Any, old: Any, words: str) -> None:
    def run(train: Any, validation: Any, test: Any, against: str = f"{rollouts.NAME}/3") -> Any:
        months = {"train_months": train, "validation_months": validation, "test_months": test}
        return Some(
            data=Some(params={name: str(each) for name, each in months.items()} | {"against": against})
        )

    mlflow = Some(
        get_model_version=lambda name, version: Some(run_id=f"{name}/{version}"),
        get_run=lambda _: run(old, (3,), (7,)),
    )
    platform: Any = Some(mlflow=lambda: mlflow, sql=lambda _: [(month,) for month in (12, *range(1, 12))])
    check = Check()
    if not words:
        retraining.learns_what_is_new(platform, check, run(**new), "3")
        assert len(check.asserted) == 3
        return
    with pytest.raises(Broken, match=words):
        retraining.learns_what_is_new(platform, check, run(**new), "3")


class Changed(Objects):
    """Counts."""

    changes = 0

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        self.changes += 1
        super().put_object(Bucket, Key, Body)

    def delete_object(self, Bucket: str, Key: str) -> None:
        self.changes += 1
        super().delete_object(Bucket, Key)


@pytest.mark.parametrize("fault", [damage_reaction.lost_scores, damage_reaction.falsified_scores])
def test_what_the_test_of_a_retraining_says_of_the_served_version_is_changed_once(fault: Any) -> None:
    store, content = Changed(), io.BytesIO()
    pd.DataFrame({"flight": [1, 2], "late_probability": [0.25, 1.0]}).to_parquet(content)
    run = Some(info=Some(run_id="r", artifact_uri="mlflow-artifacts:/1/r/artifacts"))
    key = f"{outputs.FOLDER_ARTIFACTS}/1/r/artifacts/predictions_against.parquet"

    def search(experiments: list[str], query: str) -> list[Any]:
        assert experiments == ["1"]
        assert query == "attributes.status = 'RUNNING' AND tags.training LIKE 'react-%'"
        return [run]

    mlflow = Some(get_experiment_by_name=lambda _: Some(experiment_id="1"), search_runs=search)
    with fault(Some(mlflow=lambda: mlflow, s3=lambda: store)):
        time.sleep(0.5)
        store.kept[key] = content.getvalue()
        time.sleep(0.9)
    assert store.changes == 1
    if fault is damage_reaction.lost_scores:
        assert key not in store.kept
    else:
        assert pd.read_parquet(io.BytesIO(store.kept[key]))["late_probability"].tolist() == [0.75, 0.0]


def test_a_retraining_that_ended_without_the_step_is_waited_for_no_longer() -> None:
    rows = [{"action": "retrain", "finished_at": None, "steps": []}]
    answers = iter([rows, [{**rows[0], "finished_at": "now", "result": "refused"}]])

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"reactions": next(answers)})

    with httpx.Client(base_url="http://react", transport=httpx.MockTransport(answer)) as http:
        Reaction(Some(), http).until_noted("retrain", "becomes a canary", 30)  # type: ignore[arg-type]
