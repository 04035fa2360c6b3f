"""The bandit: its arithmetic, and how it does on rewards as they were."""

import json
from dataclasses import asdict
from math import exp, lgamma, log
from typing import Any

import numpy as np
import pytest

from tests.unit.recorded_rewards import hits
from workloads.steer_traffic import bandit, config, steering
from workloads.steer_traffic.bandit import Rules, best, moved, wanted, whole
from workloads.steer_traffic.config import SteerTraffic
from workloads.steer_traffic.steering import Counts, Holds, Note, decide

SEEDS = range(20)
BY = "steer-traffic"


# --- arithmetic ---------------------------------------------------------------------------------------------


def beats(hits_a: int, known_a: int, hits_b: int, known_b: int) -> float:
    """P(second > first) in closed form, for whole counts (E. Miller, "Formulas for Bayesian A/B Testing")."""

    def beta(a: float, b: float) -> float:
        return lgamma(a) + lgamma(b) - lgamma(a + b)

    a1, b1 = 1 + hits_a, 1 + known_a - hits_a
    a2, b2 = 1 + hits_b, 1 + known_b - hits_b
    return sum(exp(beta(a1 + i, b1 + b2) - log(b2 + i) - beta(1 + i, b2) - beta(a1, b1)) for i in range(a2))


@pytest.mark.parametrize(
    ("hits_of", "known"),
    [
        ((0, 0), (0, 0)),
        ((3, 5), (10, 9)),
        ((70, 90), (100, 110)),
        ((690, 720), (1000, 1000)),
        ((5, 8000), (9, 10_000)),
        ((0, 1), (2000, 2000)),
    ],
)
def test_the_better_of_two_is_as_probable_as_the_closed_form_says(
    hits_of: tuple[int, int], known: tuple[int, int]
) -> None:
    found = best(hits_of, known)
    exact = beats(hits_of[0], known[0], hits_of[1], known[1])
    assert found.error < 1e-3
    assert found.probability[1] == pytest.approx(exact, abs=max(found.error, 1e-9))
    assert found.probability[1] == pytest.approx(exact, abs=1e-5)
    assert sum(found.probability) + found.none == pytest.approx(1, abs=1e-12)


def test_the_best_of_three_by_a_margin_is_as_probable_as_samples_say() -> None:
    hits_of, known, margin = np.array([60, 66, 30]), np.array([100, 100, 50]), 0.03
    samples = np.random.default_rng(13).beta(1 + hits_of, 1 + known - hits_of, size=(1_000_000, 3))
    found = best(hits_of.tolist(), known.tolist(), margin)
    for arm in range(3):
        others = np.delete(samples, arm, axis=1).max(axis=1)
        share = float((samples[:, arm] > others + margin).mean())
        assert found.probability[arm] == pytest.approx(share, abs=4 * 0.0005)
    assert found.none > 0.1


def test_many_outcomes_are_still_told_apart() -> None:
    found = best((7_000_000, 7_010_000), (10_000_000, 10_000_000))
    assert found.probability[1] > 0.999
    assert found.error < 1e-3


def test_until_each_arm_is_known_a_little_all_get_the_same() -> None:
    assert wanted([0, 190], [10, 199], Rules()) == [0.5, 0.5]
    assert wanted([100, 150], [200, 200], Rules())[1] > 0.9


def test_an_arm_keeps_its_floor_and_equals_share() -> None:
    shares = wanted([0, 1000, 0], [1000, 1000, 1000], Rules(floor=0.05))
    assert shares == pytest.approx([0.05, 0.90, 0.05])
    assert wanted([7000, 7010], [10_000, 10_000], Rules()) == pytest.approx([0.5, 0.5], abs=0.01)


def test_a_move_is_bounded_and_goes_the_same_part_of_the_way_for_all() -> None:
    now, to = {"a": 0.5, "b": 0.3, "c": 0.2}, {"a": 0.1, "b": 0.4, "c": 0.5}
    assert moved(now, to, 0.1) == pytest.approx({"a": 0.4, "b": 0.325, "c": 0.275})
    assert moved(now, to, 0.9) == pytest.approx(to)
    assert moved(now, now, 0.1) == now
    assert whole({"a": 0.3333, "b": 0.3333, "c": 0.3334}, 1000) == {"a": 333, "b": 333, "c": 334}


# --- one look -----------------------------------------------------------------------------------------------


def route(weights: dict[str, int], note: Note | None = None, **annotations: Any) -> dict[str, Any]:
    backends = [
        {"name": f"delay-v{version}-predictor", "port": 80, "weight": weight}
        for version, weight in weights.items()
    ]
    held = {steering.STEERED: json.dumps(asdict(note))} if note else {}
    held |= {f"seatrial.dev/{name}": json.dumps(value) for name, value in annotations.items()}
    rules = [{"name": "variant-a", "backendRefs": [{"name": "delay-v3-predictor"}]}]
    rules += [{"name": "default", "backendRefs": backends, "filters": []}]  # type: ignore[dict-item]
    return {"metadata": {"resourceVersion": "7", "annotations": held}, "spec": {"rules": rules}}


NOTE = Note(BY, "2013-07-01T00:00:00+00:00", ["3", "4"])
SETTINGS = config.reference()


def test_a_bandit_that_is_fed_nothing_holds_and_says_so() -> None:
    with pytest.raises(Holds, match="no outcome of versions 3, 4 is known since 2013-07-01"):
        decide(SETTINGS, route({"3": 900, "4": 100}, NOTE), NOTE, {})
    with pytest.raises(Holds, match="no outcome of versions 3, 4"):
        decide(SETTINGS, route({"3": 900, "4": 100}, NOTE), NOTE, {"7": (1000, 1000)})


def test_too_little_that_is_new_moves_nothing() -> None:
    note = Note(BY, NOTE.since, ["3", "4"], {"3": 300, "4": 300}, 5)
    with pytest.raises(Holds, match="49 of 50 new outcomes since the last move"):
        decide(SETTINGS, route({"3": 500, "4": 500}, note), note, {"3": (320, 200), "4": (329, 300)})


def test_a_move_changes_the_weights_of_the_default_rule_and_nothing_else() -> None:
    before = route({"3": 500, "4": 500}, NOTE)
    move = decide(SETTINGS, before, NOTE, {"3": (300, 150), "4": (300, 270)})
    assert move.weights == {"3": 400, "4": 600}
    assert move.rules[0] == before["spec"]["rules"][0]
    assert [backend["weight"] for backend in move.rules[1]["backendRefs"]] == [400, 600]
    assert move.rules[1]["filters"] == []
    assert (move.note.known, move.note.moves) == ({"3": 300, "4": 300}, 1)
    assert move.note.best["4"] == pytest.approx(0.95)


def test_an_unknown_version_is_no_part_of_a_move() -> None:
    counts = {"3": (300, 150), "4": (300, 270)}
    here = route({"3": 500, "4": 500}, NOTE)
    with_another = decide(SETTINGS, here, NOTE, {**counts, "9": (10_000, 10_000)})
    assert with_another == decide(SETTINGS, here, NOTE, counts)


@pytest.mark.parametrize(
    ("there", "told"),
    [
        (
            route({"3": 900, "4": 100}, rollout={"version": "4", "ended": ""}),
            "a rollout of version 4 is under",
        ),
        (route({"3": 1000}), "has 1 version, there is nothing to choose from"),
        (route({"3": 0, "4": 0}), "nothing to choose from"),
    ],
)
def test_where_somebody_else_is_at_work_or_nothing_is_to_choose_it_holds(
    there: dict[str, Any], told: str
) -> None:
    with pytest.raises(Holds, match=told):
        steering.note_on(there, BY)
    with pytest.raises(Holds, match=told):
        decide(SETTINGS, there, NOTE, {"3": (300, 150), "4": (300, 270)})


def test_a_service_of_no_version_is_held_for() -> None:
    there = route({"3": 500, "4": 500})
    there["spec"]["rules"][-1]["backendRefs"][0]["name"] = "delay"
    with pytest.raises(Holds, match="names Service delay, which is of no version"):
        steering.arms_of(there)


def test_other_arms_or_another_bandit_begin_anew_and_a_done_rollout_is_no_hindrance() -> None:
    done = {"version": "4", "ended": "canary"}
    assert steering.note_on(route({"3": 900, "4": 100}, NOTE, rollout=done), BY) == NOTE
    assert steering.note_on(route({"3": 900, "5": 100}, NOTE), BY) is None
    assert steering.note_on(route({"3": 900, "4": 100}, NOTE), "another") is None
    assert steering.note_on(route({"3": 900, "4": 100}), BY) is None


# --- on rewards as they were --------------------------------------------------------------------------------


class Life:
    """Requests that a gateway splits by the weights; each outcome is known `late` requests after its request.

    The bandit has nothing but the route and the log.
    """

    def __init__(self, arms: list[np.ndarray], seed: int, late: int = 0) -> None:
        self.arms, self.late = np.stack(arms), late
        self.random = np.random.default_rng(seed)
        self.flights = self.random.permutation(len(arms[0]))
        self.names = [str(3 + place) for place in range(len(arms))]
        self.weights = whole(dict.fromkeys(self.names, 1 / len(arms)), steering.TOTAL)
        self.note = Note(BY, "2013-07-01T00:00:00+00:00", self.names)
        self.log = np.empty((0, 2), int)
        """Arm and whether it was right, of each request: shape (requests, 2)."""
        self.shares: list[float] = []
        """Of the last arm, after each look."""

    def ask(self, requests: int) -> None:
        edges = np.cumsum([self.weights[name] for name in self.names]) / steering.TOTAL
        places = np.searchsorted(edges, self.random.random(requests), side="right")
        flights = self.flights[np.arange(len(self.log), len(self.log) + requests) % len(self.flights)]
        self.log = np.vstack([self.log, np.column_stack([places, self.arms[places, flights]])])

    def counts(self) -> Counts:
        known = self.log[: max(len(self.log) - self.late, 0)]
        return {
            name: (int((known[:, 0] == place).sum()), int(known[known[:, 0] == place, 1].sum()))
            for place, name in enumerate(self.names)
        }

    def look(self, settings: SteerTraffic) -> None:
        try:
            move = decide(settings, route(self.weights, self.note), self.note, self.counts())
        except Holds:
            pass
        else:
            self.weights, self.note = move.weights, move.note
        self.shares.append(self.weights[self.names[-1]] / steering.TOTAL)

    def live(self, requests: int, settings: SteerTraffic = SETTINGS) -> "Life":
        while len(self.log) < requests:
            self.ask(settings.batch)
            self.look(settings)
        return self


def test_the_better_version_gets_nine_of_ten_requests_within_a_thousand() -> None:
    arms = [hits()["schedule"], hits()["departure"]]
    assert arms[1].mean() - arms[0].mean() == pytest.approx(0.20, abs=0.01)
    for seed in SEEDS:
        life = Life(arms, seed).live(3000)
        settled = life.shares[1000 // SETTINGS.batch :]
        assert min(settled) >= 0.9, f"seed {seed}"
        assert np.mean(life.log[1000:, 0] == 1) >= 0.9, f"seed {seed}"
        assert max(np.abs(np.diff([0.5, *life.shares]))) <= SETTINGS.most + 1 / steering.TOTAL


def test_outcomes_that_come_late_only_delay_it() -> None:
    arms = [hits()["schedule"], hits()["departure"]]
    for seed in SEEDS:
        assert min(Life(arms, seed, late=1000).live(3000).shares[2000 // SETTINGS.batch :]) >= 0.9


def test_two_versions_that_are_the_same_share_the_traffic() -> None:
    """Over 10,000 requests each gets 35 to 65 % of them in each of 20 runs, half in the mean, and in the end
    its weight is within 10 points of the half.
    """
    same = hits()["schedule"]
    lives = [Life([same, same], seed).live(10_000) for seed in SEEDS]
    parts = [np.mean(life.log[:, 0] == 1) for life in lives]
    assert 0.35 <= min(parts) <= max(parts) <= 0.65
    assert np.mean(parts) == pytest.approx(0.5, abs=0.05)
    assert all(abs(life.shares[-1] - 0.5) <= 0.1 for life in lives)


def test_a_bandit_that_is_killed_at_any_moment_goes_on_as_if_it_had_not_been() -> None:
    """Killed before its write it has done nothing, after it nothing is new to the next one."""
    arms = [hits()["schedule"], hits()["departure"]]
    for seed in SEEDS:
        whole_life, killed = Life(arms, seed), Life(arms, seed)
        dice = np.random.default_rng(seed)
        for _ in range(30):
            whole_life.ask(SETTINGS.batch)
            whole_life.look(SETTINGS)
            killed.ask(SETTINGS.batch)
            for after_the_write in dice.random(dice.integers(0, 4)) < 0.5:
                # All that the one that was killed knew is gone; the route and the log are there.
                before = (dict(killed.weights), killed.note)
                killed.look(SETTINGS)
                if not after_the_write:
                    killed.weights, killed.note = before
                killed.note = Note(**json.loads(json.dumps(asdict(killed.note))))
            killed.look(SETTINGS)
            assert (killed.weights, killed.note) == (whole_life.weights, whole_life.note)
        assert np.array_equal(killed.log, whole_life.log)


def test_settings_of_the_rules_are_those_of_the_bandit() -> None:
    assert config.reference().rules == bandit.Rules()
    assert config.tiny().rules.warm_up == 20


def test_a_floor_that_leaves_nothing_to_choose_is_the_same_for_all() -> None:
    shares = bandit.wanted([900, 100, 100], [1000] * 3, bandit.Rules(floor=0.5))
    assert shares == pytest.approx([1 / 3] * 3)
