"""The controller: judges what is stored and acts once, whoever is killed when."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.rollout_record import CANARY, STABLE
from client.rollouts import promote
from react import metrics
from react.act import Rollback
from react.controller import PATIENCE, SILENT, Controller, Later, Outcome
from react.policy import NOTHING, PAGE, ROLLBACK
from react.trail import Reaction, Trail, TrailAway
from tests.unit.reaction import POLICY, Clock, alert, at, tell
from tests.unit.rollout_world import World

KILLED = """
import sys, time
from datetime import timedelta
from react.controller import Controller
from react.trail import Trail
from tests.unit.reaction import POLICY, at

def act(reaction, note):
    print("begun", reaction.id, flush=True)
    time.sleep(600)

with Trail(sys.argv[1], lambda: at(3)) as trail:
    controller = Controller(POLICY, trail, {"rollback": act}, lambda: at(3))
    controller.look()
    controller.wait()
"""


class Acts:
    """Counts what is done; does what it is told."""

    def __init__(self, outcome: Any = None) -> None:
        self.done: list[tuple[str, str]] = []
        self.outcome = outcome or Outcome("done")

    def __call__(self, reaction: Reaction, note: Any) -> Outcome:
        self.done.append((reaction.action, reaction.model))
        note("it is done")
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        assert isinstance(self.outcome, Outcome)
        return self.outcome

    def all(self) -> dict[str, Any]:
        return {ROLLBACK: self, PAGE: self, "retrain": self}


def look(controller: Controller) -> None:
    controller.look()
    controller.wait()


def count(action: str, result: str) -> float:
    return float(metrics.REACTIONS.labels(action, result)._value.get())


def test_an_alert_is_acted_upon_once_and_counted(trail: Trail, clock: Clock) -> None:
    acts, before = Acts(), count(ROLLBACK, "done")
    controller = Controller(POLICY, trail, acts.all(), clock)
    tell(trail, alert(), alert("ModelSlow"))
    look(controller)
    assert acts.done == []
    clock.minutes = 3
    for _ in range(3):
        look(controller)
    assert acts.done == [(ROLLBACK, "delay")]
    assert count(ROLLBACK, "done") == before + 1
    assert [each.result for each in trail.latest(10) if each.action == ROLLBACK] == ["done"]


def test_a_fault_that_comes_and_goes_changes_the_traffic_once(
    trail: Trail, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the real rollback, with somebody who promotes the bad version again and again."""
    world, acts = World(monkeypatch), Acts()
    promote(world.platform, "delay", "3", to=STABLE)
    promote(world.platform, "delay", "4", to=CANARY)
    world.seen.clear()
    controller = Controller(POLICY, trail, {**acts.all(), ROLLBACK: Rollback(world.platform)}, clock)
    for minute in range(0, 62):
        clock.minutes = minute
        tell(trail, replace(alert(), starts_at=at(minute - minute % 8), firing=minute % 8 < 4))
        look(controller)
    assert world.seen == [{"3": 1000}]
    assert acts.done == []
    assert [each.action for each in trail.latest(100) if each.action != NOTHING] == [ROLLBACK]


def test_a_process_that_is_killed_between_intent_and_act_acts_once_when_it_is_back(
    trail: Trail, trail_url: str, clock: Clock
) -> None:
    tell(trail, alert())
    clock.minutes = 3
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, trail_url],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as process:
        assert process.stdout is not None
        assert next(line for line in process.stdout if line.startswith("begun")).startswith("begun")
        process.kill()
    (intent,) = trail.open()
    assert (intent.action, intent.result) == (ROLLBACK, "")
    acts = Acts()
    look(Controller(POLICY, trail, acts.all(), clock))
    look(Controller(POLICY, trail, acts.all(), clock))
    assert acts.done == [(ROLLBACK, "delay")]
    assert [each.id for each in trail.latest(10) if each.action == ROLLBACK] == [intent.id]


def test_what_cannot_be_done_for_now_is_tried_until_it_has_failed_and_then_told(
    trail: Trail, clock: Clock
) -> None:
    acts, pages = Acts(Later("nobody answers")), Acts()
    controller = Controller(POLICY, trail, {ROLLBACK: acts, PAGE: pages}, clock)
    tell(trail, alert())
    for minute in (3, 10, 20, 32):
        clock.minutes = minute
        look(controller)
    assert len(acts.done) == 4
    (reaction,) = trail.open()
    steps = [each["what"] for each in trail.steps([reaction.id])[reaction.id]]
    assert steps.count("cannot be done for now: nobody answers") == 1
    clock.minutes = 3 + PATIENCE.total_seconds() / 60
    look(controller)
    assert trail.open() == []
    look(controller)
    assert len(acts.done) == 5
    assert pages.done == [(PAGE, "delay")]
    (page,) = [each for each in trail.latest(10) if each.action == PAGE]
    assert "was not done: failed: it could not be done for 0:30:00: nobody answers" in page.reason


def test_an_error_in_the_action_is_no_end_of_the_controller(trail: Trail, clock: Clock) -> None:
    controller = Controller(POLICY, trail, Acts(KeyError("x")).all(), clock)
    tell(trail, alert())
    clock.minutes = 3
    look(controller)
    assert len(trail.open()) == 1
    acts = Acts()
    controller.acts = acts.all()
    look(controller)
    assert acts.done == [(ROLLBACK, "delay")]


def test_an_action_that_takes_long_is_begun_once_and_holds_up_no_other(trail: Trail, clock: Clock) -> None:
    release, acts = threading.Event(), Acts()

    def slow(reaction: Reaction, note: Any) -> Outcome:
        acts.done.append((reaction.action, reaction.model))
        assert release.wait(60)
        return Outcome("done")

    controller = Controller(POLICY, trail, {"retrain": slow, ROLLBACK: acts}, clock)
    tell(trail, alert("ModelDrifts"))
    controller.look()
    tell(trail, alert(model="other"), alert("ModelDrifts"))
    clock.minutes = 3
    controller.look()
    controller.look()
    assert metrics.OPEN.labels("retrain")._value.get() == 1
    release.set()
    controller.wait()
    assert sorted(acts.done) == [("retrain", "delay"), (ROLLBACK, "other")]
    controller.look()
    assert metrics.OLDEST._value.get() == 0


def test_an_action_that_ends_while_it_is_looked_at_is_not_begun_again(
    trail: Trail, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, begun, real = threading.Event(), [], trail.open

    def act(reaction: Reaction, note: Any) -> Outcome:
        begun.append(reaction.id)
        assert release.wait(60)
        return Outcome("done")

    def slowly() -> list[Reaction]:
        found = real()
        release.set()
        controller.wait()
        return found

    controller = Controller(POLICY, trail, {PAGE: act}, clock)
    tell(trail, alert("ObjectStoreDown"))
    controller.look()
    monkeypatch.setattr(trail, "open", slowly)
    look(controller)
    assert len(begun) == 1


def test_what_was_done_and_could_not_be_noted_is_noted_later(
    trail: Trail, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts, real = Acts(), trail.finish

    def away(*_: Any) -> bool:
        raise TrailAway("gone")

    monkeypatch.setattr(trail, "finish", away)
    controller = Controller(POLICY, trail, acts.all(), clock)
    tell(trail, alert())
    clock.minutes = 3
    look(controller)
    assert len(trail.open()) == 1
    monkeypatch.setattr(trail, "finish", real)
    look(controller)
    assert trail.open() == []


def test_it_looks_as_soon_as_it_is_woken_and_says_when_nobody_looks(trail: Trail, clock: Clock) -> None:
    acts = Acts()
    controller = Controller(POLICY, trail, acts.all(), clock)
    thread = threading.Thread(target=controller.run, args=(600,))
    thread.start()
    tell(trail, alert("ObjectStoreDown"))
    until = time.monotonic() + 60
    while not acts.done and time.monotonic() < until:
        controller.woken.set()
        time.sleep(0.05)
    controller.leaving.set()
    controller.woken.set()
    thread.join(60)
    assert acts.done == [(PAGE, "delay")]
    assert controller.alive()
    clock.minutes = SILENT.total_seconds() / 60
    assert not controller.alive()
