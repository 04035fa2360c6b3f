"""How unlike a window and the reference are: one p-value for each column, and effects that have no p-value.

A p-value says whether a difference is more than chance; with enough rows every difference is. An effect says
how large it is, whatever the number of rows.
"""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from workloads.watch_drift.distributions import Categories, Column, Counts, Floats, Numbers, finite

LEAST_SHARE = 1e-4
"""An empty bin counts as this share, for PSI has the logarithm of it (Evidently takes the same)."""
LEAST_EXPECTED = 5
"""Categories of which fewer rows are expected are taken together (Cochran 1954)."""


@dataclass(frozen=True)
class Measured:
    """`p` of the values and of the missing ones, and how large each difference is."""

    p: float
    p_nulls: float
    nulls: float
    """The share that is missing in the window, less that of the reference."""
    effects: dict[str, float] = field(default_factory=dict)
    """`ks` and `wasserstein` of a number; `psi` of either; of categories `unknown`, the share that the
    reference has not."""
    unknown: tuple[str, ...] = ()
    """Categories that the reference has not."""


def measure(reference: Column, window: pd.Series) -> Measured:
    """Both sides of a column. A side without values has no effects, and p = 1."""
    if isinstance(reference, Numbers):
        return _numbers(reference, window)
    return _categories(reference, window)


def _numbers(reference: Numbers, window: pd.Series) -> Measured:
    ordered = np.sort(finite(window))
    missing = len(window) - len(ordered)
    p_nulls, nulls = _nulls(reference.nulls, reference.rows, missing, len(ordered))
    if not (len(ordered) and reference.rows):
        return Measured(1.0, p_nulls, nulls)
    distance = ks_distance(reference, ordered)
    effects = {
        "ks": distance,
        "psi": psi(reference.shares(), bin_shares(reference.edges, ordered)),
        "wasserstein": wasserstein(reference, ordered),
    }
    return Measured(ks_p(distance, reference.rows, len(ordered)), p_nulls, nulls, effects)


def _categories(reference: Categories, window: pd.Series) -> Measured:
    here = Categories.of(window)
    p_nulls, nulls = _nulls(reference.nulls, reference.rows, here.nulls, here.rows)
    if not (here.rows and reference.rows):
        return Measured(1.0, p_nulls, nulls)
    names = sorted({*reference.counts, *here.counts})
    before = np.array([reference.counts.get(name, 0) for name in names])
    now = np.array([here.counts.get(name, 0) for name in names])
    unknown = tuple(name for name in here.counts if name not in reference.counts)
    effects = {
        "psi": psi(before / before.sum(), now / now.sum()),
        "unknown": sum(here.counts[name] for name in unknown) / here.rows,
    }
    return Measured(chi_squared_p(before, now), p_nulls, nulls, effects, unknown)


def _nulls(before: int, rows_before: int, now: int, rows_now: int) -> tuple[float, float]:
    """p and difference of the shares that are missing."""
    total_before, total_now = before + rows_before, now + rows_now
    if not (total_before and total_now):
        return 1.0, 0.0
    p = chi_squared_p(np.array([before, rows_before]), np.array([now, rows_now]))
    return p, now / total_now - before / total_before


def ks_distance(reference: Numbers, ordered: Floats) -> float:
    """sup |F(x) - G(x)| over all x (Kolmogorov 1933, Smirnov 1939), G from the window's sorted values.

    Between two kept values F is flat and G rises, so the two ends of each gap are enough.
    """
    upto = np.searchsorted(ordered, reference.values, side="right") / len(ordered)
    below = np.searchsorted(ordered, reference.values, side="left") / len(ordered)
    share = reference.upto / reference.rows
    share_below = np.concatenate([[0.0], share[:-1]])
    return float(max(np.abs(share - upto).max(), np.abs(share_below - below).max()))


def ks_p(distance: float, rows: int, others: int) -> float:
    """Of the two-sample test, as `scipy.stats.ks_2samp(method="asymp")` has it."""
    return float(np.clip(stats.kstwo.sf(distance, np.round(rows * others / (rows + others))), 0, 1))


def wasserstein(reference: Numbers, ordered: Floats) -> float:
    """∫ |F(x) - G(x)| dx in standard deviations of the reference: how far its mass was moved in the mean."""
    moved = stats.wasserstein_distance(reference.values, ordered, u_weights=reference.weights)
    return float(moved / reference.deviation)


def bin_shares(edges: Floats, ordered: Floats) -> Floats:
    """Shares of the window's sorted values between the reference's edges."""
    upto = np.searchsorted(ordered, edges, side="right")
    return np.diff(np.concatenate([[0], upto, [len(ordered)]])) / len(ordered)


def psi(before: Floats, now: Floats) -> float:
    """Σ (q - p) ln(q / p) over bins or categories: the population stability index (Siddiqi 2006), which is
    Jeffreys' divergence of the two.
    """
    p, q = np.maximum(before, LEAST_SHARE), np.maximum(now, LEAST_SHARE)
    return float(((q - p) * np.log(q / p)).sum())


def chi_squared_p(before: Counts, now: Counts) -> float:
    """Of Pearson's test that both come from one distribution (1900); rare categories are taken together."""
    table = np.stack([before, now])
    expected = table.sum(axis=0) * (table.sum(axis=1).min() / table.sum())
    rare = expected < LEAST_EXPECTED
    table = np.column_stack([table[:, ~rare], table[:, rare].sum(axis=1)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2:
        return 1.0
    return float(stats.chi2_contingency(table, correction=False).pvalue)
