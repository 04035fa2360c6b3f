"""Many tests at once: p-values that may be compared with one level for all of them."""

from collections.abc import Sequence

import numpy as np


def holm(p: Sequence[float]) -> list[float]:
    """Adjusted so that the chance of one false rejection or more, over all tests, is at most the level that
    they are compared with, however they depend on each other.

    With p(1) ≤ … ≤ p(m): max over j ≤ i of (m - j + 1) p(j), at most 1 (Holm 1979).
    """
    order = np.argsort(p)
    steps = (len(p) - np.arange(len(p))) * np.asarray(p, dtype=float)[order]
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(each) for each in adjusted]
