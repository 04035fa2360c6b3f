"""What a person may ask of served models, and what is refused."""

from types import SimpleNamespace as Some
from typing import Any

import pytest
import typer

from client import models, rollouts, traffic
from client.errors import ClientError
from client.rollout_record import STABLE
from client.scaling import Scaling
from seatrial import model
from tests.unit.rollout_world import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    rollouts.promote(made.platform, "delay", "3", to=STABLE)
    return made


@pytest.mark.parametrize(
    ("name", "of", "registered"),
    [
        ("delay", [], "delay-classifier"),
        ("churn", [], "churn"),
        ("churn", ["customers", "customers"], "customers"),
    ],
)
def test_a_name_stands_for_the_registered_model_that_is_served_under_it(
    name: str, of: list[str], registered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "served", lambda *_: [Some(model=each) for each in of])
    platform: Any = None
    assert model.registered_as(platform, name) == registered


def test_of_several_registered_models_one_must_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "served", lambda *_: [Some(model="customers"), Some(model="churn")])
    platform: Any = None
    with pytest.raises(ClientError, match="versions of churn, customers"):
        model.registered_as(platform, "churn")


def test_a_version_that_may_get_requests_is_not_taken_away(world: World) -> None:
    with pytest.raises(ClientError, match="version 3 of delay may get requests"):
        model.require_unnamed(world.platform, "delay", "3")
    model.require_unnamed(world.platform, "delay", "4")
    for make in (
        lambda route: route.shadowed("4"),
        lambda route: route.shadowed(None).divided({"canary": "4"}),
    ):
        world.write(make)
        with pytest.raises(ClientError, match="version 4 of delay may get requests"):
            model.require_unnamed(world.platform, "delay", "4")


def test_a_version_is_scaled_when_both_is_said() -> None:
    assert model.scaled(1, None, None) is None
    assert model.scaled(2, 2, 7.5) == Scaling(2, 7.5)


@pytest.mark.parametrize(
    ("said", "words"),
    [((1, 3, None), "both or neither"), ((1, None, 5.0), "both or neither"), ((3, 2, 5.0), r"3 \(got 2\)")],
)
def test_a_scaling_that_says_too_little_or_makes_no_sense_is_refused(said: Any, words: str) -> None:
    with pytest.raises(typer.BadParameter, match=words):
        model.scaled(*said)


def test_without_a_route_any_version_may_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traffic, "read", lambda *_: None)
    model.require_unnamed(world.platform, "delay", "3")
