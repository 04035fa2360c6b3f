"""What the values of two arms say about their difference: once, and however often one looks.

An interval of Newcombe's or Welch's holds with 95 % if it is computed once, at a time that was fixed before.
Who computes it again and again and stops when it no longer holds 0 finds a difference sooner or later, also
where there is none. `sequence` gives intervals that hold all at once: one may look after each value and stop
whenever one likes.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

MISMATCH = 0.001
"""Arms whose sizes come by chance less often than this did not get the shares that were asked."""
SETTLED = 100
"""Values that each arm must have,"""
RARE = 10
"""and zeros and ones in each, where all are such, before the normal approximation of `sequence` is good
enough. With shares of 5 to 50 % and rates of 5 to 98 %, equal arms then differ at any of all looks in 2 to 4
of 100 experiments; from 30 values on, whatever they are, in up to 22.
"""


@dataclass(frozen=True)
class Interval:
    low: float
    high: float

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def proportion(successes: int, count: int, alpha: float = 0.05) -> Interval:
    """Wilson's interval of a share (Wilson 1927)."""
    found = stats.binomtest(successes, count).proportion_ci(1 - alpha, method="wilson")
    return Interval(float(found.low), float(found.high))


def mean(values: Floats, alpha: float = 0.05) -> Interval:
    """Student's interval of a mean; Wilson's where the values are zeros and ones."""
    if are_shares(values):
        return proportion(int(values.sum()), values.size, alpha)
    found = stats.ttest_1samp(values, 0.0).confidence_interval(1 - alpha)
    return Interval(float(found.low), float(found.high))


def difference(treated: Floats, control: Floats, alpha: float = 0.05) -> Interval:
    """The difference of two means, looked at once.

    Zeros and ones: Newcombe's hybrid score interval (Newcombe 1998, method 10). With Wilson's l and u of each
    share p: d - sqrt((p1 - l1)^2 + (u2 - p2)^2) to d + sqrt((u1 - p1)^2 + (p2 - l2)^2). Else Welch's.
    """
    if not (are_shares(treated) and are_shares(control)):
        found = stats.ttest_ind(treated, control, equal_var=False).confidence_interval(1 - alpha)
        return Interval(float(found.low), float(found.high))
    one, two = mean(treated, alpha), mean(control, alpha)
    p, q = float(treated.mean()), float(control.mean())
    below, above = math.hypot(p - one.low, two.high - q), math.hypot(one.high - p, q - two.low)
    return Interval(p - q - below, p - q + above)


def are_shares(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def sequence(
    treated: Bools, values: Floats, share: float, *, alpha: float = 0.05, expected: int = 2000
) -> tuple[Floats, Floats]:
    """Bounds of the difference of the arms' means after each value; all of them hold at once with 1 - alpha.

    An asymptotic confidence sequence (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central
    limit theory and asymptotic confidence sequences", Annals of Statistics 2024, theorem 2.2). After t values
    with mean m and standard deviation s of their scores it is

        m ± s sqrt( 2 (t rho² + 1) / (t² rho²) · ln( sqrt(t rho² + 1) / alpha ) )

    `treated` says which values are the treated arm's, in the order in which they became known; `share` is the
    probability with which a value was to be of that arm. rho makes the interval narrowest after `expected`
    values, and must not depend on the data.
    """
    scores = differences(treated, values, share)
    t = np.arange(1, scores.size + 1, dtype=np.float64)
    middle = np.cumsum(scores) / t
    spread = np.sqrt(np.maximum(np.cumsum(scores**2) / t - middle**2, 0.0))
    scaled = t * narrowest(alpha) / expected
    radius = np.sqrt(2 * (scaled + 1) / (t * scaled) * np.log(np.sqrt(scaled + 1) / alpha))
    return middle - spread * radius, middle + spread * radius


def settled(treated: Bools, values: Floats) -> Bools:
    """After which values there are enough to look at `sequence`."""
    least = np.minimum(np.cumsum(treated), np.cumsum(~treated)) >= SETTLED
    if are_shares(values):
        for arm in (treated, ~treated):
            for value in (0.0, 1.0):
                least &= np.cumsum(arm & (values == value)) >= RARE
    return np.asarray(least)


def differences(treated: Bools, values: Floats, share: float) -> Floats:
    """For each value a score whose expectation is the difference of the means (augmented inverse probability
    weighting: Robins, Rotnitzky & Zhao 1994), with each arm's mean of the values before as its regression.
    """
    one, two = before(treated, values), before(~treated, values)
    return np.where(treated, one - two + (values - one) / share, one - two - (values - two) / (1 - share))


def before(arm: Bools, values: Floats) -> Floats:
    """The mean of the arm's values before each value; 0 where there is none."""
    own = np.where(arm, values, 0.0)
    count: Floats = np.cumsum(arm, dtype=np.float64) - arm
    return np.asarray((np.cumsum(own) - own) / np.maximum(count, 1), dtype=np.float64)


def narrowest(alpha: float) -> float:
    """x = t rho² at which the width is least: the solution above 0 of x = ln(x + 1) - 2 ln(alpha)."""
    x = 1.0
    for _ in range(100):
        x = math.log(x + 1) - 2 * math.log(alpha)
    return x


def mismatch(counts: dict[str, int], shares: dict[str, float]) -> float:
    """How often chance alone gives arms of such sizes, or sizes that fit the shares worse: Pearson's
    chi-squared test for a sample ratio mismatch.
    """
    whole = sum(counts.values())
    seen = [counts.get(name, 0) for name in shares]
    return float(stats.chisquare(seen, [share * whole for share in shares.values()]).pvalue)
