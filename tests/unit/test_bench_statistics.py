"""The statistics of benchmarks, on numbers made up with a seed: no clock is looked at."""

import numpy as np
import pytest

from benchmarks import statistics
from benchmarks.statistics import SLACK, Slack, effect, verdict

CPU, WALL = SLACK[1], SLACK[2]
SHARED, OWN = 0.25, 0.13
"""Noise of a busy two-core machine (log scale): what slows both sides of a pair, and each side's own.
Together they are the 28 % coefficient of variation measured of wall time, and give the power measured there.
"""
SHARED_CPU, OWN_CPU = 0.15, 0.08
"""The same for CPU time: 17 %."""


def pairs(dice: np.random.Generator, n: int, slower: float, shared: float, own: float) -> statistics.Floats:
    """Log ratios of `n` pairs whose candidate is `slower` by that share."""
    machine = dice.normal(0, shared, n)
    base = machine + dice.normal(0, own, n)
    candidate = machine + dice.normal(0, own, n) + np.log1p(slower)
    return candidate - base


def share(word: str, n: int, slower: float, noise: tuple[float, float], slack: Slack, alpha: float) -> float:
    """How often in 400 trials the verdict is `word`."""
    dice = np.random.default_rng(7)
    told = [verdict(effect(pairs(dice, n, slower, *noise), range(n), alpha), slack) for _ in range(400)]
    return told.count(word) / len(told)


def test_two_equal_sides_are_called_a_regression_in_at_most_two_of_a_hundred_runs() -> None:
    for n in (10, 30):
        for noise, slack in (((SHARED, OWN), WALL), ((SHARED_CPU, OWN_CPU), CPU)):
            assert share("regression", n, 0.0, noise, slack, 0.01) <= 0.02, (n, slack)


def test_a_fifth_slower_is_seen_in_95_of_100_runs_of_30_pairs() -> None:
    assert share("regression", 30, 0.2, (SHARED, OWN), WALL, 0.01) >= 0.95
    assert share("regression", 30, 0.2, (SHARED_CPU, OWN_CPU), CPU, 0.01) >= 0.95


def test_a_fifth_faster_is_an_improvement_and_never_a_regression() -> None:
    assert share("improvement", 30, 1 / 1.2 - 1, (SHARED, OWN), WALL, 0.01) >= 0.95
    assert share("regression", 30, 1 / 1.2 - 1, (SHARED, OWN), WALL, 0.01) == 0


def test_the_looks_of_a_plan_spend_one_percent_together() -> None:
    assert {looks: round(sum(alphas), 9) for looks, alphas in statistics.ALPHAS.items()} == {1: 0.01, 3: 0.01}


def test_equal_sides_pass_by_equivalence_when_they_are_known_well_enough() -> None:
    quiet = np.array([-0.02, 0.01, 0.0, 0.02, -0.01] * 6)
    assert verdict(effect(quiet, range(30), 0.01), WALL) == "pass"


def test_little_known_is_inconclusive_not_a_pass() -> None:
    wild = np.array([-0.5, 0.6, 0.1, -0.4, 0.5])
    assert verdict(effect(wild, range(5), 0.01), WALL) == "inconclusive"


def test_a_sure_but_small_change_is_no_regression() -> None:
    found = effect(np.full(30, np.log(1.04)), range(30), 0.01)
    assert found.lower > 1
    assert verdict(found, CPU) == "pass"
    assert verdict(effect(np.full(30, np.log(1.06)), range(30), 0.01), CPU) == "regression"


def test_the_same_numbers_give_the_same_bounds() -> None:
    d = pairs(np.random.default_rng(1), 30, 0.1, SHARED, OWN)
    assert effect(d, range(30), 0.01) == effect(d, range(30), 0.01)


def test_pairs_of_one_block_do_not_count_as_independent() -> None:
    dice = np.random.default_rng(3)
    blocks = np.repeat(np.arange(6), 5)
    d = dice.normal(0, 0.1, 6)[blocks] + dice.normal(0, 0.001, 30)
    alone, together = effect(d, range(30), 0.01), effect(d, blocks.tolist(), 0.01)
    assert together.upper / together.lower > alone.upper / alone.lower
    assert together.ratio == alone.ratio


def test_blocks_of_unequal_size_are_drawn_whole() -> None:
    medians = statistics.resampled_medians(np.array([1.0, 1.0, 5.0]), [0, 0, 1])
    assert set(medians) == {1.0, 5.0}


def test_no_pair_has_no_effect() -> None:
    with pytest.raises(ValueError, match="no pair"):
        effect(np.array([]), [], 0.01)


def test_benjamini_and_hochberg_correct_a_list_as_in_their_paper() -> None:
    # 15 p-values of Benjamini & Hochberg 1995, section 3.2: four are rejected at q = .05.
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240, 0.4262, 0.5719,
         0.6528, 0.7590, 1.0]  # fmt: skip
    q = statistics.corrected(p)
    assert sum(each <= 0.05 for each in q) == 4
    assert q[0] == pytest.approx(0.0015)
    assert statistics.corrected(p[::-1]) == pytest.approx(q[::-1])


def test_an_interval_needs_two_blocks() -> None:
    assert statistics.interval95(np.array([1.0, 3.0]), [0, 0]) is None
    assert statistics.interval95(np.array([1.0, 3.0]), [0, 1]) == (1.0, 3.0)


def test_steps_are_warm_once_they_have_no_slope() -> None:
    dice = np.random.default_rng(2)
    noise = dice.normal(0, 0.02, 300)
    falling = 1 + np.maximum(0, 60 - np.arange(300)) / 20 + noise
    assert 60 < statistics.warm_up(falling) < 90
    assert statistics.warm_up(1 + noise) <= 25
    assert statistics.warm_up(np.ones(300)) == 20
    assert statistics.warm_up(np.linspace(9, 1, 100)) == 50
