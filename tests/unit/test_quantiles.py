"""Quantiles are told with what certifies them."""

import numpy as np
import pytest

from workloads import quantiles


@pytest.mark.parametrize(("q", "n"), [(0.5, 11), (0.9, 64), (0.95, 130), (0.99, 662), (0.999, 6636)])
def test_the_samples_that_a_quantile_needs_are_loadgens(q: float, n: int) -> None:
    assert quantiles.samples_needed(q) == n


def test_a_quantile_is_not_told_below_its_floor() -> None:
    assert quantiles.quantile(np.arange(661.0), 0.99) is None
    assert quantiles.quantile_bound(np.arange(661.0), 0.99) is None
    assert quantiles.quantile(np.arange(662.0), 0.99) == 655.0
    assert quantiles.quantile_bound(np.arange(662.0), 0.99) == 661.0


def test_the_bound_of_a_quantile_holds_in_99_of_100_runs() -> None:
    dice = np.random.default_rng(5)
    true = -np.log(0.1)
    bounds = [quantiles.quantile_bound(dice.exponential(size=300), 0.9) for _ in range(1000)]
    assert np.mean([bound is not None and bound >= true for bound in bounds]) >= 0.99


@pytest.mark.parametrize(("n", "q"), [(64, 0.9), (1000, 0.9), (5000, 0.99), (700, 0.5)])
def test_the_bound_is_the_lowest_sample_that_the_number_of_samples_certifies(n: int, q: float) -> None:
    above = n - int(quantiles.quantile_bound(np.arange(float(n)), q) or 0)
    assert quantiles.samples_needed(q, above) <= n < quantiles.samples_needed(q, above + 1)


def test_more_samples_bring_the_bound_closer() -> None:
    evenly = np.linspace(0, 1, 10_000)
    bounds = [quantiles.quantile_bound(evenly[:: 10_000 // n], 0.9) or 9.0 for n in (64, 1000, 10_000)]
    assert bounds == sorted(bounds, reverse=True)
    assert 0.9 < bounds[-1] < 0.91


@pytest.mark.parametrize(("q", "n"), [(0.5, 11), (0.9, 64), (0.9, 300), (0.99, 662), (0.999, 6636)])
def test_the_interval_of_a_quantile_holds_it_in_95_of_100_runs(q: float, n: int) -> None:
    dice, true = np.random.default_rng(7), -np.log(1 - q)
    found = [quantiles.interval(dice.exponential(size=n), q) for _ in range(1000)]
    held = np.mean([each is not None and each[0] <= true <= each[1] for each in found])
    assert 0.94 <= held <= 0.995, "more would be an interval that is too wide"


def test_the_interval_of_a_median_is_the_one_of_the_tables() -> None:
    # Sign test, n = 20, 95 %: the 6th and the 15th (P(X <= 5) = 0.0207).
    assert quantiles.interval(np.arange(1.0, 21.0), 0.5) == (6.0, 15.0)
    assert quantiles.interval(np.arange(1.0, 21.0)[::-1].copy(), 0.5) == (6.0, 15.0)


def test_there_is_no_interval_below_the_floor() -> None:
    assert quantiles.interval(np.arange(661.0), 0.99) is None


def test_the_binomial_sum_is_exact() -> None:
    assert quantiles.at_most(5, 20, 0.5) == pytest.approx(0.020694732666015625, rel=1e-12)
    assert quantiles.at_most(20, 20, 0.5) == 1.0
    assert quantiles.at_most(-1, 20, 0.5) == 0.0
    assert quantiles.at_most(0, 100_000, 0.01) == pytest.approx(0.99**100_000, rel=1e-6)
