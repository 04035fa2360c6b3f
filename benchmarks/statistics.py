"""Numbers about numbers; NumPy alone, and every random choice is seeded.

Two sides are compared by d_i = ln(candidate_i / base_i) of pairs measured side by side: what slows the whole
machine slows both and cancels. The effect is exp(median d); its bounds come from a percentile bootstrap over
blocks of pairs that were measured in the same pods.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RESAMPLES = 2000
SEED = 20_260_101
ALPHAS: dict[int, tuple[float, ...]] = {1: (0.01,), 3: (0.003, 0.003, 0.004)}
"""Looks planned → the share of wrong alarms that each may cause; together 1 %."""


@dataclass(frozen=True)
class Slack:
    """What a tier forgives."""

    delta: float
    """A change smaller than this share is no regression and no improvement, however sure it is."""
    equivalent: float
    """A change that is surely smaller than this share is a pass."""


SLACK: dict[int, Slack] = {1: Slack(0.05, 0.10), 2: Slack(0.10, 0.20)}
"""By tier: 1 is CPU time, 2 is wall time."""


# --- pairs --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Effect:
    """The median ratio with a lower and an upper bound, each holding with 1 - alpha."""

    ratio: float
    lower: float
    upper: float
    p_worse: float
    """How often chance alone gives a ratio above 1 like this one, by the bootstrap."""
    pairs: int


def effect(d: Floats, blocks: Sequence[int], alpha: float) -> Effect:
    """The effect of log ratios `d`; pairs of the same block are resampled together."""
    if d.size == 0:
        raise ValueError("no pair to compute an effect from")
    medians = resampled_medians(d, blocks)
    lower, upper = (float(np.quantile(medians, q, method="inverted_cdf")) for q in (alpha, 1 - alpha))
    p_worse = (1 + int(np.sum(medians <= 0))) / (medians.size + 1)
    return Effect(math.exp(float(np.median(d))), math.exp(lower), math.exp(upper), p_worse, d.size)


def resampled_medians(values: Floats, blocks: Sequence[int]) -> Floats:
    """Medians of 2,000 draws of whole blocks, with replacement; `blocks` names each value's block."""
    by_block: dict[int, list[float]] = {}
    for value, block in zip(values.tolist(), blocks, strict=True):
        by_block.setdefault(block, []).append(value)
    pools = [np.array(pool) for pool in by_block.values()]
    draws = np.random.default_rng(SEED).integers(0, len(pools), (RESAMPLES, len(pools)))
    if len(pools) == values.size:
        return np.asarray(np.median(np.concatenate(pools)[draws], axis=1), dtype=np.float64)
    return np.array([np.median(np.concatenate([pools[place] for place in row])) for row in draws])


def enough(pairs: int, alpha: float) -> bool:
    """Whether so many pairs, all of them worse, would be worse by chance less often than `alpha`: 7 for 1 %.
    The bounds do not tell: of a single pair both are its own ratio.
    """
    return bool(0.5**pairs <= alpha)


def verdict(found: Effect, slack: Slack) -> str:
    """`regression`, `improvement`, `pass` or `inconclusive`; a ratio above 1 is worse."""
    if found.lower > 1 and found.ratio > 1 + slack.delta:
        return "regression"
    if found.upper < 1 and found.ratio < 1 / (1 + slack.delta):
        return "improvement"
    return "pass" if found.upper < 1 + slack.equivalent else "inconclusive"


def corrected(p_values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's q-values, in the order given."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p)
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    smallest = np.minimum.accumulate(scaled[::-1])[::-1]
    q = np.empty_like(p)
    q[order] = np.minimum(smallest, 1.0)
    return [float(value) for value in q]


# --- one side -----------------------------------------------------------------------------------------------


def interval95(values: Floats, blocks: Sequence[int]) -> tuple[float, float] | None:
    """The 95 % bootstrap interval of the median; None for fewer than two blocks."""
    if len(set(blocks)) < 2:
        return None
    medians = resampled_medians(values, blocks)
    low, high = np.quantile(medians, (0.025, 0.975), method="inverted_cdf")
    return float(low), float(high)


# --- steps of a training ------------------------------------------------------------------------------------

STEPS_LOOKED_AT = 20
STEPS_COLD_AT_MOST = 200
T_95_OF_18 = 2.101
"""Student's t for the slope of 20 points."""


def warm_up(seconds: Floats) -> int:
    """Steps to leave out at the start: until the slope of the last 20 step times may be nothing, but at most
    200, and at most half of them.
    """
    for count in range(STEPS_LOOKED_AT, min(STEPS_COLD_AT_MOST, seconds.size // 2) + 1):
        if flat(seconds[count - STEPS_LOOKED_AT : count]):
            return count
    return min(STEPS_COLD_AT_MOST, seconds.size // 2)


def flat(values: Floats) -> bool:
    """Whether the 95 % interval of the slope of these 20 values holds 0."""
    x = np.arange(values.size) - (values.size - 1) / 2
    slope = float(np.sum(x * values) / np.sum(x * x))
    rest = values - values.mean() - slope * x
    error = math.sqrt(float(np.sum(rest * rest)) / (values.size - 2) / float(np.sum(x * x)))
    return abs(slope) <= T_95_OF_18 * error or math.isclose(slope, 0.0, abs_tol=1e-15)
