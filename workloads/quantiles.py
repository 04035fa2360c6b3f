"""Quantiles of what was measured: told only from as many samples as can certify them, and with what they may
be off by. NumPy alone.

The samples are taken to be independent. Those of one run of a queue are not quite: a run that is repeated
says more than a longer one.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

CONFIDENCE = 0.99
QUANTILES = (0.5, 0.9, 0.95, 0.99, 0.999)


def at_most(events: int, trials: int, chance: float) -> float:
    """P(X <= events) of a binomial X, without underflow."""
    if events < 0 or events >= trials:
        return float(events >= trials)
    k = np.arange(events, dtype=np.float64)
    steps = np.log(trials - k) - np.log(k + 1) + math.log(chance) - math.log1p(-chance)
    logs = trials * math.log1p(-chance) + np.concatenate(([0.0], np.cumsum(steps)))
    top = float(logs.max())
    return math.exp(top) * float(np.sum(np.exp(logs - top)))


@cache
def samples_needed(quantile: float, above: int = 1, confidence: float = CONFIDENCE) -> int:
    """Samples of which `above` may lie above `quantile` so that it is certified: LoadGen's early stopping,
    the smallest h + t with I(quantile; h, t + 1) <= 1 - confidence.
    """
    low, high = above, above + 1
    while at_most(above, high, 1 - quantile) > 1 - confidence:
        low, high = high, high * 2
    while high - low > 1:
        middle = (low + high) // 2
        certified = at_most(above, middle, 1 - quantile) <= 1 - confidence
        low, high = (low, middle) if certified else (middle, high)
    return high


def quantile(samples: Floats, q: float) -> float | None:
    """The empirical quantile, or None below the number of samples that can certify it."""
    if samples.size < samples_needed(q):
        return None
    return float(np.quantile(samples, q, method="inverted_cdf"))


def quantile_bound(samples: Floats, q: float) -> float | None:
    """What the quantile does not exceed with 99 % confidence: the t-th largest sample, for the largest t that
    the number of samples certifies.
    """
    if samples.size < samples_needed(q):
        return None
    n = samples.size
    above = _last(n - 1, lambda above: at_most(above, n, 1 - q) <= 1 - CONFIDENCE)
    return float(np.sort(samples)[-above])


def interval(samples: Floats, q: float, confidence: float = 0.95) -> tuple[float, float] | None:
    """Two samples between which the quantile lies with at least `confidence`, whatever the distribution; None
    below the number of samples that can certify the quantile.

    Of n samples a binomial number lies below the quantile, so the l-th smallest is above it with
    P(Bin(n, q) < l), and the u-th is below it with P(Bin(n, q) >= u): each at most (1 - confidence) / 2
    (David & Nagaraja, Order Statistics, 7.1).
    """
    n, tail = samples.size, (1 - confidence) / 2
    if n < samples_needed(q):
        return None
    ordered = np.sort(samples)
    lower = _last(n, lambda place: 1 - at_most(n - place, n, 1 - q) <= tail)
    upper = n + 1 - _last(n, lambda rank: at_most(rank - 1, n, 1 - q) <= tail)
    return float(ordered[lower - 1]), float(ordered[upper - 1])


def _last(n: int, holds: Callable[[int], bool]) -> int:
    """The largest of 1 … n for which `holds`, which holds for 1 and, from some number on, no more."""
    low, high = 1, n + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
