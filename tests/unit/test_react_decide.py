"""What the reaction decides: by the policy, and by what it did before; time is a number here."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from react.decide import DONE, Action, Alert, Decision, decide, decide_all
from react.policy import NOTHING, PAGE, RETRAIN, ROLLBACK, parse
from tests.unit.reaction import POLICY, alert, at
from workloads.common import HopelessError


def action(
    of: Alert, kind: str = ROLLBACK, decided: float = 5, took: float | None = 1, **more: Any
) -> Action:
    finished = None if took is None else at(decided + took)
    options = {"result": DONE if took is not None else ""} | more
    return Action(7, kind, of.model, of.fingerprint, of.starts_at, at(decided), finished, **options)


def told(of: Alert, minutes: float, *before: Action) -> tuple[str, str]:
    found = decide(POLICY, replace(of, seen_at=at(minutes)), at(minutes), before)
    return found.action, found.code


# --- rules --------------------------------------------------------------------------------------------------


def test_the_first_rule_that_fits_counts() -> None:
    assert told(alert(), 5) == (ROLLBACK, "rule")
    assert told(alert("ModelSlow"), 5) == (ROLLBACK, "rule")
    assert told(alert("ModelDrifts"), 5) == (RETRAIN, "rule")
    assert told(alert("ObjectStoreDown"), 5) == (PAGE, "rule")
    assert told(alert("ModelFails", severity="warning"), 5) == (NOTHING, "no rule")
    assert told(alert("ObjectStoreDown", severity=""), 5) == (NOTHING, "no rule")


def test_an_alert_must_have_been_firing_for_as_long_as_its_rule_says() -> None:
    assert told(alert(), 1.9) == (NOTHING, "too early")
    assert told(alert(), 2) == (ROLLBACK, "rule")


def test_what_is_resolved_or_was_not_repeated_is_left_alone() -> None:
    assert told(replace(alert(), firing=False), 5) == (NOTHING, "resolved")
    forgotten = decide(POLICY, alert(), at(301), [])
    assert (forgotten.action, forgotten.code) == (NOTHING, "stale")
    assert "since 2026-01-01 00:00 UTC" in forgotten.reason


def test_a_rollback_without_a_version_is_a_persons_business() -> None:
    found = decide(POLICY, alert(version=""), at(5), [])
    assert found == Decision(
        PAGE, "no label", "rule bad version cannot rollback: the alert has no label version", "bad version"
    )
    assert told(alert("ModelDrifts", model="", version=""), 5) == (PAGE, "no label")
    assert told(alert("ModelDrifts", version=""), 5) == (RETRAIN, "rule")


# --- no loops, no flapping ----------------------------------------------------------------------------------


def test_two_alerts_of_one_model_at_once_are_one_action_and_the_more_urgent_one() -> None:
    both = [alert("ModelDrifts"), alert("ModelSlow"), alert("ModelFails"), alert(model="other")]
    found = decide_all(POLICY, both, at(5), [])
    assert [(each.name, each.model, what.action, what.code) for each, what in found] == [
        ("ModelFails", "delay", ROLLBACK, "rule"),
        ("ModelFails", "other", ROLLBACK, "rule"),
        ("ModelSlow", "delay", NOTHING, "under way"),
        ("ModelDrifts", "delay", NOTHING, "under way"),
    ]


def test_a_rollback_does_not_wait_for_a_retraining_and_a_retraining_does_for_a_rollback() -> None:
    training = action(alert("ModelDrifts"), RETRAIN, took=None)
    assert told(alert(), 6, training) == (ROLLBACK, "rule")
    assert told(alert("ModelDrifts"), 6, action(alert(), took=None)) == (NOTHING, "under way")
    assert told(alert("ModelDrifts", version="5"), 6, training) == (NOTHING, "under way")
    trained = action(alert("ModelDrifts"), RETRAIN)
    assert told(alert(), 7, trained) == (ROLLBACK, "rule"), "its canary may be what is bad"
    assert told(alert("ModelDrifts", since=6), 7, action(alert())) == (NOTHING, "cooldown")


def test_an_alert_that_comes_and_goes_within_the_cooldown_acts_once() -> None:
    first = alert()
    past = [action(first)]
    for minutes in range(7, 65, 3):
        again = replace(first, starts_at=at(minutes - 2))
        assert told(again, minutes, *past) == (NOTHING, "cooldown"), minutes
    assert told(replace(first, starts_at=at(64)), 66, *past) == (ROLLBACK, "rule")


def test_an_alert_that_goes_on_after_its_action_is_not_acted_upon_again_but_told_of() -> None:
    assert told(alert(), 65, action(alert())) == (NOTHING, "cooldown")
    assert told(alert(), 66, action(alert())) == (PAGE, "still fires")
    page = action(alert(), PAGE, decided=66)
    assert told(alert(), 68, action(alert()), page) == (NOTHING, "paged")
    assert told(alert(), 60 * 20, action(alert()), page) == (NOTHING, "paged")


def test_an_action_that_was_not_done_is_told_of_at_once() -> None:
    refused = action(alert(), result="refused: the last rollout is of version 5")
    found = decide(POLICY, alert(), at(6), [refused])
    assert (found.action, found.code) == (PAGE, "not done")
    assert "the last rollout is of version 5 (reaction 7)" in found.reason


def test_more_than_so_many_actions_a_day_are_a_persons_business() -> None:
    past = [action(alert(since=minutes), decided=minutes + 3) for minutes in (0, 120, 240)]
    assert told(alert(since=400), 405, *past[1:]) == (ROLLBACK, "rule")
    assert told(alert(since=400), 405, *past) == (PAGE, "limit")
    assert told(alert(since=400, model="other"), 405, *past) == (ROLLBACK, "rule")
    assert told(alert(since=1440), 1442, *past) == (PAGE, "limit")
    assert told(alert(since=1440), 1443, *past) == (ROLLBACK, "rule"), "the first is a day old"
    silent = POLICY.model_copy(update={"at_limit": NOTHING})
    assert decide(silent, alert(since=300), at(405), past).action == NOTHING


def test_a_person_is_told_once_an_episode_and_not_of_each_flap() -> None:
    page = action(alert("ObjectStoreDown"), PAGE)
    assert told(alert("ObjectStoreDown"), 600, page) == (NOTHING, "paged")
    flapped = replace(alert("ObjectStoreDown"), starts_at=at(30))
    assert told(flapped, 32, page) == (NOTHING, "paged lately")
    assert told(flapped, 32, action(alert("ObjectStoreDown"), PAGE, took=None)) == (NOTHING, "paged lately")
    assert told(flapped, 66, page) == (PAGE, "rule")
    assert told(alert("TrinoDown"), 32, page) == (PAGE, "rule"), "another alert is not held up"
    assert told(alert(), 32, page) == (ROLLBACK, "rule"), "a page changes nothing, and holds up nothing"


def test_a_fault_that_comes_and_goes_for_a_day_is_acted_upon_no_more_than_allowed() -> None:
    """Four minutes on, four minutes off, for two days: the clock is simulated, the decisions are not."""
    past: list[Action] = []
    for minute in range(0, 2 * 24 * 60):
        if minute % 8 >= 4:
            continue
        flap = replace(alert(), starts_at=at(minute - minute % 8), seen_at=at(minute))
        found = decide(POLICY, flap, at(minute), past)
        if found.action != NOTHING:
            new = action(flap, found.action, decided=minute)
            past.append(replace(new, id=len(past) + 1))
    did = [each for each in past if each.action == ROLLBACK]
    assert len(did) == 6
    for first, second in pairwise(did):
        assert second.decided_at - first.decided_at > POLICY.cooldown
    for each in did:
        day = [
            other for other in did if timedelta(0) <= each.decided_at - other.decided_at < timedelta(days=1)
        ]
        assert len(day) <= POLICY.per_day
    pages = [each for each in past if each.action == PAGE]
    assert pages
    assert pages[0].decided_at > did[2].decided_at
    assert len(pages) < 48, "an hour apart at least"


# --- the file -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rules: []", "rules: List should have at least 1 item"),
        ("rules: [{name: a, match: {x: y}, action: reboot}]", "rules.0.action: Input should be 'rollback'"),
        ("rules: [{name: a, match: {}, action: page}]", "rules.0.match: "),
        ("rules: [{name: a, match: {x: y}, action: page, fro: 2m}]", "rules.0.fro: Extra inputs"),
        (
            "rules: [{name: a, match: {x: y}, action: page, after: 2}]",
            "write a duration as 90s, 15m, 2h or 1d",
        ),
        ("per_day: 0\nrules: [{name: a, match: {x: y}, action: page}]", "per_day: Input should be greater"),
        ("rules: [", "is not YAML"),
        ("", "Input should be a valid dictionary"),
    ],
)
def test_a_policy_that_is_none_is_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(HopelessError) as raised:
        parse(text)
    assert words in str(raised.value)


def test_what_a_policy_does_not_say_has_a_default() -> None:
    policy = parse("rules: [{name: a, match: {x: y}, action: page}]")
    assert (policy.cooldown, policy.per_day, policy.at_limit) == (timedelta(hours=1), 3, PAGE)
    assert policy.rules[0].after == timedelta(0)
