"""The statistics of experiments keep what they promise, by simulation with fixed seeds."""

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from client import evidence

RUNS = 1000
VALUES = 3000
LOOKS = np.arange(50, VALUES + 1, 50)
"""A batch of 50 values each."""


def experiment(
    dice: np.random.Generator, share: float, rates: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    treated = dice.random(VALUES) < share
    return treated, (dice.random(VALUES) < np.where(treated, *rates)).astype(float)


def looks(treated: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The looks at which there are values enough."""
    return LOOKS[evidence.settled(treated, values)[LOOKS - 1]]


def naive(treated: np.ndarray, values: np.ndarray, at: int) -> bool:
    """Whether a t-test of what is there finds a difference."""
    one, two = values[:at][treated[:at]], values[:at][~treated[:at]]
    return bool(stats.ttest_ind(one, two, equal_var=False).pvalue < 0.05)


@pytest.mark.parametrize(("share", "rate"), [(0.5, 0.3), (0.5, 0.9), (0.2, 0.7), (0.1, 0.05)])
def test_with_equal_arms_looking_after_each_batch_stops_in_at_most_5_of_100_runs(
    share: float, rate: float
) -> None:
    dice, stopped = np.random.default_rng(3), 0
    for _ in range(RUNS):
        treated, values = experiment(dice, share, (rate, rate))
        low, high = evidence.sequence(treated, values, share)
        at = looks(treated, values) - 1
        stopped += bool(np.any((low[at] > 0) | (high[at] < 0)))
    assert stopped / RUNS <= 0.05


def test_a_t_test_after_each_batch_stops_far_more_often() -> None:
    dice, stopped = np.random.default_rng(3), 0
    for _ in range(100):
        treated, values = experiment(dice, 0.5, (0.3, 0.3))
        stopped += any(naive(treated, values, at) for at in looks(treated, values))
    assert stopped / 100 > 0.2, "by looking once in 5 of 100"


@pytest.mark.parametrize(("share", "rates"), [(0.5, (0.5, 0.4)), (0.2, (0.9, 0.8))])
def test_all_looks_together_hold_the_true_difference_in_95_of_100_runs(
    share: float, rates: tuple[float, float]
) -> None:
    dice, held = np.random.default_rng(4), 0
    for _ in range(RUNS):
        treated, values = experiment(dice, share, rates)
        low, high = evidence.sequence(treated, values, share)
        at, true = looks(treated, values) - 1, rates[0] - rates[1]
        held += bool(np.all((low[at] <= true) & (true <= high[at])))
    assert held / RUNS >= 0.95


def test_a_look_counts_once_each_arm_has_values_enough_of_each_kind() -> None:
    treated, values = np.tile([True, False], 150), np.repeat([1.0, 0.0], [260, 40])
    assert np.flatnonzero(evidence.settled(treated, values))[0] == 279, "ten zeros in each arm"
    assert np.flatnonzero(evidence.settled(treated, values + 0.5))[0] == 199, "a hundred values in each arm"
    assert not evidence.settled(np.ones(300, dtype=bool), values).any()


def test_a_difference_is_found_and_its_sign_is_right() -> None:
    dice, found = np.random.default_rng(5), 0
    for _ in range(50):
        treated, values = experiment(dice, 0.5, (0.5, 0.4))
        low, high = evidence.sequence(treated, values, 0.5)
        assert high[-1] > 0
        found += bool(low[-1] > 0)
    assert found >= 45


def test_a_share_that_is_not_the_true_one_is_a_bias_that_a_mismatch_shows() -> None:
    treated, _ = experiment(np.random.default_rng(6), 0.5, (0.3, 0.3))
    counts = {"a": int((~treated).sum()), "b": int(treated.sum())}
    assert evidence.mismatch(counts, {"a": 0.5, "b": 0.5}) > 0.01
    assert evidence.mismatch(counts, {"a": 0.45, "b": 0.55}) < evidence.MISMATCH


def test_sizes_of_arms_are_judged_by_chi_squared() -> None:
    # (1040 - 1000)^2 / 1000 twice is 3.2; P(chi-squared with one degree of freedom > 3.2) = 0.0736.
    assert evidence.mismatch({"a": 1040, "b": 960}, {"a": 0.5, "b": 0.5}) == pytest.approx(0.07364, abs=1e-5)
    assert evidence.mismatch({"a": 1000}, {"a": 0.5, "b": 0.5}) < 1e-100, "an arm that is missing"


def test_the_interval_is_narrowest_after_as_many_values_as_were_expected() -> None:
    x, alpha = evidence.narrowest(0.05), 0.05
    assert x == pytest.approx(math.log(x + 1) - 2 * math.log(alpha))

    def radius(scaled: float) -> float:
        """At t = 1 with rho² = scaled."""
        return (scaled + 1) / scaled * math.log(math.sqrt(scaled + 1) / alpha)

    assert min(radius(x * by) for by in (0.5, 0.9, 0.99, 1.01, 1.1, 2)) > radius(x)
    treated = np.tile([True, False], 5000)
    values = np.tile([1.0, 1.0, 0.0, 0.0], 2500)
    widths = {}
    for expected in (500, 2000, 10_000):
        low, high = evidence.sequence(treated, values, 0.5, expected=expected)
        widths[expected] = (high - low)[1999]
    assert widths[2000] == min(widths.values())


def test_the_sequence_is_as_it_is_written() -> None:
    """One row by hand: 400 scores of mean 0 and deviation s."""
    treated = np.tile([True, True, False, False], 100)
    values = np.tile([1.0, 0.0, 1.0, 0.0], 100)
    low, high = evidence.sequence(treated, values, 0.5, expected=400)
    x = evidence.narrowest(0.05)
    spread = float(np.std(evidence.differences(treated, values, 0.5)))
    radius = spread * math.sqrt(2 * (x + 1) / (400 * x) * math.log(math.sqrt(x + 1) / 0.05))
    assert (high[-1] - low[-1]) / 2 == pytest.approx(radius)
    assert spread == pytest.approx(1.0, abs=0.05), "2 (y - mean) of zeros and ones"


def test_each_score_expects_the_difference_whatever_came_before() -> None:
    dice = np.random.default_rng(7)
    scores = [evidence.differences(*experiment(dice, 0.2, (0.8, 0.5)), 0.2).mean() for _ in range(200)]
    assert np.mean(scores) == pytest.approx(0.3, abs=4 * np.std(scores) / math.sqrt(200))
    assert evidence.before(np.array([True, False, True, True]), np.array([4.0, 9.0, 2.0, 7.0])).tolist() == [
        0, 4, 4, 3,
    ]  # fmt: skip


# --- looked at once -----------------------------------------------------------------------------------------


def test_the_interval_of_two_shares_is_newcombes() -> None:
    # Newcombe 1998, table II, method 10: 56/70 against 48/80 gives 0.0524 to 0.3339.
    one, two = np.repeat([1.0, 0.0], [56, 14]), np.repeat([1.0, 0.0], [48, 32])
    found = evidence.difference(one, two)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=1e-4)


def test_the_interval_of_a_share_is_wilsons() -> None:
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion": 81/263 and 0/20.
    found = evidence.proportion(81, 263)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=1e-4)
    none = evidence.proportion(0, 20)
    assert none.low == 0
    assert none.high == pytest.approx(0.1611, abs=1e-4)


def test_intervals_looked_at_once_hold_in_95_of_100_runs() -> None:
    dice = np.random.default_rng(8)
    shares, means = 0, 0
    for _ in range(1000):
        one, two = (dice.random(60) < 0.9).astype(float), (dice.random(60) < 0.8).astype(float)
        shares += evidence.difference(one, two).holds(0.1)
        one, two = dice.exponential(2.0, 200), dice.exponential(1.0, 80)
        means += evidence.difference(one, two).holds(1.0)
    assert shares / 1000 == pytest.approx(0.95, abs=0.02)
    assert means / 1000 == pytest.approx(0.95, abs=0.02)


def test_looked_at_once_it_is_narrower_than_however_often() -> None:
    treated, values = experiment(np.random.default_rng(9), 0.5, (0.5, 0.4))
    low, high = evidence.sequence(treated, values, 0.5)
    once = evidence.difference(values[treated], values[~treated])
    assert low[-1] < once.low < once.high < high[-1]
    later = [high[at] - low[at] for at in (499, 999, 1999, 2999)]
    assert all(one > two for one, two in pairwise(later))
