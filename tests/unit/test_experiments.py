"""What a log of predictions is taken to say of an experiment. The statistics themselves: test_evidence.py."""

import json
from dataclasses import replace
from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pytest
import typer
from kubernetes import client as k8s

from client import ClientError, experiments
from client.evidence import Interval
from client.experiments import Log, Question
from seatrial import experiment as command

ASKED = Question(name="delay-v4", shares={"stable": 0.5, "canary": 0.5})


def log(stable: float, canary: float, users: int = 4000, share: float = 0.5, **more: Any) -> Log:
    """Users with a known outcome, whose decisions were right that often."""
    dice = np.random.default_rng(11)
    treated = dice.random(users) < share
    values = (dice.random(users) < np.where(treated, canary, stable)).astype(float)
    arms = ["canary" if own else "stable" for own in treated]
    counts = {"stable": int((~treated).sum()), "canary": int(treated.sum())}
    return replace(Log(arms, values, counts, 0), **more)


def only(report: experiments.Report) -> experiments.Comparison:
    (found,) = report.comparisons
    return found


def test_a_better_arm_is_called_higher_and_a_worse_one_lower() -> None:
    better, worse = (experiments.judge(ASKED, log(*rates)) for rates in ((0.7, 0.8), (0.8, 0.7)))
    assert (only(better).verdict, only(worse).verdict) == ("higher", "lower")
    assert only(better).difference == pytest.approx(0.1, abs=0.03)
    always = only(better).always
    assert always
    assert always.low > 0
    assert always.low < only(better).once.low
    stable, canary = better.arms
    assert (stable.name, canary.name, better.control) == ("stable", "canary", "stable")
    assert stable.interval
    assert stable.interval.holds(0.7)
    assert stable.assigned == stable.scored


def test_equal_arms_are_not_decided_unless_a_margin_says_when_they_are_equal() -> None:
    same = log(0.75, 0.75)
    assert only(experiments.judge(ASKED, same)).verdict == "undecided"
    assert only(experiments.judge(replace(ASKED, margin=0.1), same)).verdict == "equal"
    assert only(experiments.judge(replace(ASKED, margin=0.01), same)).verdict == "undecided"


def test_few_values_decide_nothing() -> None:
    found = only(experiments.judge(ASKED, log(0.1, 0.9, users=150)))
    assert found.always is None
    assert found.verdict == "undecided"
    assert not found.once.holds(0.0), "looked at once it would have been"


def test_no_value_yet_compares_nothing() -> None:
    nothing = Log([], np.array([]), {"stable": 5, "canary": 4}, 0)
    report = experiments.judge(ASKED, nothing)
    assert (report.comparisons, report.refusals) == ([], [])
    assert [each.mean for each in report.arms] == [None, None]
    assert json.loads(report.to_json())["arms"][0]["assigned"] == 5


def test_what_is_refused_is_not_even_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiments, "comparison", lambda *_: pytest.fail("it was compared"))
    report = experiments.judge(ASKED, log(0.5, 0.9, share=0.45))
    assert (report.comparisons, len(report.refusals)) == ([], 2)


def test_arms_of_other_sizes_than_asked_are_refused() -> None:
    report = experiments.judge(ASKED, log(0.5, 0.9, share=0.45))
    assert report.comparisons == []
    users, scored = report.refusals
    assert users.startswith("the users are not divided as asked (stable 2,")
    assert "asked: stable 0.5, canary 0.5" in users
    assert scored.startswith("the users with an outcome are not divided as asked")
    assert experiments.judge(
        replace(ASKED, shares={"stable": 0.55, "canary": 0.45}), log(0.5, 0.9, share=0.45)
    ).comparisons


def test_outcomes_that_are_missing_in_one_arm_are_refused() -> None:
    whole = log(0.7, 0.8)
    report = experiments.judge(ASKED, replace(whole, assigned={"stable": 3000, "canary": 3010}))
    assert report.refusals == []
    kept = [place for place, arm in enumerate(whole.arms) if arm == "stable" or place % 5]
    lossy = Log([whole.arms[place] for place in kept], whole.values[kept], whole.assigned, 0)
    (refusal,) = experiments.judge(ASKED, lossy).refusals
    assert refusal.startswith("the users with an outcome are not divided")


def test_requests_may_be_more_in_one_arm_than_in_the_other() -> None:
    uneven = log(0.7, 0.8, share=0.4, assigned={"stable": 1000, "canary": 1003})
    assert experiments.judge(ASKED, uneven).refusals
    assert experiments.judge(replace(ASKED, every_request=True), uneven).refusals == []


def test_users_of_two_arms_and_arms_that_nobody_asked_for_are_refused() -> None:
    (refusal,) = experiments.judge(ASKED, log(0.7, 0.8, crossed=3)).refusals
    assert refusal == "3 users were in more than one arm: the shares, or the name, were changed on the way"
    more = log(0.7, 0.8)
    report = experiments.judge(ASKED, replace(more, assigned={**more.assigned, "third": 1}))
    assert report.refusals == ["the log has arms that were not asked for: third"]


def test_several_arms_share_the_errors_that_are_allowed() -> None:
    asked = Question(name="delay-v4", shares={"stable": 0.4, "canary": 0.3, "other": 0.3})
    dice = np.random.default_rng(12)
    arms = dice.choice(list(asked.shares), 6000, p=list(asked.shares.values()))
    values = (dice.random(6000) < np.where(arms == "canary", 0.9, 0.7)).astype(float)
    counts = {name: int((arms == name).sum()) for name in asked.shares}
    three = experiments.judge(asked, Log(arms.tolist(), values, counts, 0))
    assert [(each.arm, each.verdict) for each in three.comparisons] == [
        ("canary", "higher"), ("other", "undecided"),
    ]  # fmt: skip
    pair = [place for place, name in enumerate(arms) if name != "other"]
    two = Question(name="delay-v4", shares={"stable": 4 / 7, "canary": 3 / 7})
    alone = Log([arms[place] for place in pair], values[pair], {k: counts[k] for k in two.shares}, 0)
    one, other = three.comparisons[0].once, only(experiments.judge(two, alone)).once
    assert one.high - one.low > other.high - other.low, "97.5 % instead of 95"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shares": {"stable": 1.0}}, "give at least two, with shares above 0 that add up to 1"),
        ({"shares": {"stable": 0.5, "canary": 0.4}}, "add up to 1"),
        ({"shares": {"stable": 1.0, "canary": 0.0}}, "shares above 0"),
        ({"metric": "request_id"}, "there is no metric 'request_id'\n.*hit, outcome, score, price"),
        ({"alpha": 0.0}, r"alpha is 0.0\n.*above 0 and at most 0.5"),
        ({"expected": 0}, "expected is 0"),
        ({"margin": -0.1}, "margin is -0.1"),
    ],
)
def test_a_question_that_cannot_be_is_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(ClientError, match=said):
        replace(ASKED, **wrong)


# --- the experiment that runs -------------------------------------------------------------------------------


def platform(data: dict[str, str] | None) -> Any:
    def read(name: str, namespace: str) -> Any:
        assert (name, namespace) == ("booking-api", "workloads")
        if data is None:
            raise k8s.ApiException(status=404)
        return Some(data=data)

    return Some(core=Some(read_namespaced_config_map=read))


def test_the_shares_are_those_of_the_experiment_that_runs() -> None:
    running = platform({"EXPERIMENT": '{"name": "delay-v4", "arms": {"stable": 0.9, "canary": 0.1}}'})
    assert experiments.shares(running, "delay-v4") == {"stable": 0.9, "canary": 0.1}
    for other, said in (
        (running, "what runs: delay-v4"),
        (platform({"EXPERIMENT": ""}), "none"),
        (platform(None), "none"),
    ):
        with pytest.raises(ClientError, match=said) as refused:
            experiments.shares(other, "delay-v3")
        assert "--arms stable=0.5,canary=0.5" in refused.value.todo


# --- the command --------------------------------------------------------------------------------------------


def test_arms_are_given_by_name_and_share() -> None:
    assert command.parse("stable=0.9, canary=0.1") == {"stable": 0.9, "canary": 0.1}
    for wrong in ("stable", "stable=x", "a=0.5,a=0.5"):
        with pytest.raises(typer.BadParameter):
            command.parse(wrong)


def test_a_report_is_shown_with_what_it_means(capsys: pytest.CaptureFixture[str]) -> None:
    command.show(experiments.judge(ASKED, log(0.7, 0.8)))
    said = capsys.readouterr().out
    assert "stable (control)" in said
    assert "canary: higher: its mean is higher than the control's" in said
    assert "95 %, however often one looks" in said
    command.show(experiments.judge(ASKED, log(0.7, 0.8, crossed=3)))
    said = capsys.readouterr().out
    assert "no conclusion: 3 users were in more than one arm" in said
    assert "higher" not in said
    assert command.span(Interval(-0.1, 0.25)) == "-0.1000 … 0.2500"
