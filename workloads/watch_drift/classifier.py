"""Whether a window and the reference can be told apart by all columns together.

The classifier two-sample test: a classifier that learned on one half tells the other half's rows apart better
than by lot only if they differ (Lopez-Paz and Oquab 2017). It sees what no column shows alone. It also sees
every season, so it is told and raises no alarm, and is not asked unless one wants it: it takes seconds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from workloads.watch_drift.distributions import is_number

ROWS = 2000
"""Of each side, at most."""


@dataclass(frozen=True)
class Told:
    """`auc` is the chance that a row of the window looks more like the window than one of the reference."""

    auc: float
    p: float
    """Of Mann and Whitney's test on the half that was not learned from."""


def tell_apart(reference: pd.DataFrame, window: pd.DataFrame, seed: int = 13) -> Told:
    """How well the two can be told apart; both have the same columns and at least 40 rows."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    rows = pd.concat([side.sample(min(len(side), ROWS), random_state=seed) for side in (reference, window)])
    of_window = np.repeat([0, 1], [min(len(reference), ROWS), min(len(window), ROWS)])
    inputs = rows.reset_index(drop=True)
    words = [str(name) for name in inputs if not is_number(inputs[name])]
    inputs[words] = inputs[words].apply(lambda column: column.astype("category").cat.codes)
    learned = np.random.default_rng(seed).permutation(len(inputs)) % 2 == 0
    model = HistGradientBoostingClassifier(max_iter=50, random_state=seed)
    model.fit(inputs[learned], of_window[learned])
    scores = model.predict_proba(inputs[~learned])[:, 1]
    truth = of_window[~learned]
    ours, theirs = scores[truth == 1], scores[truth == 0]
    test = stats.mannwhitneyu(ours, theirs, alternative="greater")
    return Told(float(test.statistic / (len(ours) * len(theirs))), float(test.pvalue))
