"""What a person sees of a model's traffic."""

import io
from typing import Any

import pytest
from rich.console import Console

from client import models, rollouts, traffic
from client.errors import ClientError
from client.rollout_record import CANARY, STABLE
from seatrial import rollout
from tests.unit.rollout_world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    made.platform.name = "test"
    rollouts.promote(made.platform, "delay", "3", to=STABLE)
    return made


@pytest.fixture
def shown(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a command prints that reaches this world."""

    class Here:
        def __enter__(self) -> Any:
            return world.platform

        def __exit__(self, *_: object) -> None:
            pass

    text = io.StringIO()
    monkeypatch.setattr(rollout, "connect", lambda _: Here())
    monkeypatch.setattr(rollout, "out", Console(file=text, width=200))
    return text


def test_the_state_of_a_model_is_told_version_by_version(world: World, shown: io.StringIO) -> None:
    rollouts.promote(world.platform, "delay", "4", to=CANARY)
    world.versions |= {"5": False, "6": True}
    rollouts.divide(world.platform, "delay", {"old": "3"})
    world.write(lambda route: route.shadowed("6").noted(traffic.STEERED, {"by": "steer-traffic"}))
    rollout.status("delay")
    told = {line.split("│")[1].strip(): line for line in shown.getvalue().splitlines() if "│" in line}
    assert "95 %, variant old" in told["3"]
    assert "5 %" in told["4"]
    assert "nothing" in told["5"]
    assert "copies (shadow)" in told["6"]
    assert "delay version 4 to canary: canary (2 of 2 steps passed)" in shown.getvalue()
    assert "not judged: live accuracy" in shown.getvalue()
    assert "Deployment steer-traffic moves the weights" in shown.getvalue()


def test_a_model_that_there_is_not_is_told_with_what_to_do(
    world: World, shown: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.route = None
    monkeypatch.setattr(models, "served", lambda *_: [])
    with pytest.raises(ClientError, match="there is no model 'delay' on platform 'test'"):
        rollout.status("delay")


def test_a_promotion_that_was_rolled_back_ends_with_1_and_says_why(world: World, shown: io.StringIO) -> None:
    world.bad["4"] = (1.0, 0, 0)
    with pytest.raises(rollout.typer.Exit) as ended:
        rollout.promote("delay", "4", to="canary", patience="60s")
    assert ended.value.exit_code == 1
    assert "delay version 4 to canary: rolled back: its error rate is over the limit" in shown.getvalue()
    assert "(0 of 2 steps passed)" in shown.getvalue()


def test_a_promotion_that_reached_its_aim_ends_well(world: World, shown: io.StringIO) -> None:
    rollout.promote("delay", "4", to="canary", patience="300s")
    assert world.now.weights == {"3": 950, "4": 50}
