"""Thompson sampling for Bernoulli rewards, as weights: how probable it is that each arm is the best one.

Sampling once a request and playing the arm of the highest sample plays each arm with just that probability
(Thompson 1933; Chapelle and Li, NIPS 2011). A gateway that splits by weights can therefore do it for us, and
between two moves of the weights is the only difference to sampling request by request. The rewards have the
prior Beta(1, 1). Nothing here draws a random number: equal counts give equal weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

POINTS, MOST_POINTS = 1 << 13, 1 << 20
"""Of the quadrature: at least and at most."""


@dataclass(frozen=True)
class Rules:
    """How far and how fast weights may go."""

    warm_up: int = 200
    """Known outcomes of each arm before any of them is preferred; until then all get the same."""
    margin: float = 0.03
    """Arms whose rates differ by less count as equally good, and share."""
    floor: float = 0.05
    """The least part of the requests that each arm keeps."""
    most: float = 0.1
    """The most by which a weight changes in one move."""


@dataclass(frozen=True)
class Best:
    """How probable it is that each arm is better than every other one by more than the margin."""

    probability: tuple[float, ...]
    none: float
    """That no arm is: the rest to 1."""
    error: float
    """Of each of these numbers, at most: that of the quadrature before it was extrapolated."""


def best(hits: Sequence[int], known: Sequence[int], margin: float = 0.0) -> Best:
    """From what is known of each arm: P(θᵢ > θⱼ + margin for all j ≠ i), θᵢ ~ Beta(1 + hits, 1 + misses).

    The integral of fᵢ(x) · Πⱼ Fⱼ(x - margin), by the midpoint rule in steps of at most a sixteenth of the
    narrowest posterior's deviation, extrapolated from it and half as many points (Richardson).
    """
    a, b = 1.0 + np.asarray(hits, float), 1.0 + np.asarray(known, float) - np.asarray(hits, float)
    deviation = np.sqrt(a * b / (a + b + 1)) / (a + b)
    points = int(2 ** np.ceil(np.log2(16 / deviation.min())))
    points = min(max(points, POINTS), MOST_POINTS)
    fine, coarse = (_probabilities(a, b, margin, count) for count in (points, points // 2))
    found = np.clip(fine + (fine - coarse) / 3, 0.0, 1.0)
    error = max(float(np.abs(fine - coarse).max()), abs(float((fine - coarse).sum()))) / 3
    none = max(0.0, 1.0 - float(found.sum()))
    return Best(tuple(float(value) for value in found), none, error)


def _probabilities(a: np.ndarray, b: np.ndarray, margin: float, points: int) -> np.ndarray:
    edges = np.linspace(0.0, 1.0, points + 1)
    middle = (edges[:-1] + edges[1:]) / 2
    log = (a[:, None] - 1) * np.log(middle) + (b[:, None] - 1) * np.log1p(-middle)
    mass = np.exp(log - log.max(axis=1, keepdims=True))
    mass /= mass.sum(axis=1, keepdims=True)
    below = np.concatenate([np.zeros((len(a), 1)), np.cumsum(mass, axis=1)], axis=1)
    worse = np.stack([np.interp(middle - margin, edges, row, left=0.0) for row in below])
    return np.array(
        [float((mass[arm] * np.prod(np.delete(worse, arm, axis=0), axis=0)).sum()) for arm in range(len(a))]
    )


def wanted(hits: Sequence[int], known: Sequence[int], rules: Rules) -> list[float]:
    """The shares that the arms should have by what is known of them; they add up to 1."""
    arms = len(known)
    if min(known) < rules.warm_up:
        return [1 / arms] * arms
    found = best(hits, known, rules.margin)
    floor = min(rules.floor, 1 / arms)
    free = 1 - arms * floor
    return [floor + free * (probability + found.none / arms) for probability in found.probability]


def moved(now: Mapping[str, float], to: Mapping[str, float], most: float) -> dict[str, float]:
    """All shares the same part of the way, such that none changes by more than `most`."""
    far = max(abs(to[arm] - now[arm]) for arm in now)
    part = min(1.0, most / far) if far else 1.0
    return {arm: now[arm] + part * (to[arm] - now[arm]) for arm in now}


def whole(shares: Mapping[str, float], total: int) -> dict[str, int]:
    """Whole weights that add up to `total`, as near to the shares as can be (largest remainders)."""
    exact = {arm: share * total / sum(shares.values()) for arm, share in shares.items()}
    weights = {arm: int(value) for arm, value in exact.items()}
    by_rest = sorted(exact, key=lambda arm: weights[arm] - exact[arm])
    for arm in by_rest[: total - sum(weights.values())]:
        weights[arm] += 1
    return weights
