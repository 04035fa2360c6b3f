"""Whether a window and the reference can be told apart by columns together.

The classifier two-sample test: a classifier that learned on one half tells the other half's rows apart better
than by lot only if they differ (Lopez-Paz and Oquab 2017). It sees what no column shows alone. It also sees
every season, so it gets the columns that have none: with the weather it knows January from June, and a shift
adds nothing to that.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from workloads.watch_drift.distributions import is_number
from workloads.watch_drift.reference import Mask
from workloads.watch_drift.verdicts import Limits, Verdict

ROWS = 2000
"""Of each side, at most."""
LEAST = 40
"""Of each side."""
SEED = 13
STRETCHES = 16
"""Of the reference, that are told from its rest, at most: each takes 0.2 s of a processor."""


@dataclass(frozen=True)
class Told:
    """`auc` is the chance that a row of the window looks more like the window than one of the reference."""

    auc: float
    p: float
    """Of Mann and Whitney's test on the half that was not learned from."""


@dataclass(frozen=True)
class Together:
    """Rows of the reference, and how well its own periods can be told from its rest."""

    rows: pd.DataFrame
    usual: float
    """The largest AUC of these."""

    @classmethod
    def learn(cls, rows: pd.DataFrame, periods: Mapping[str, Mask]) -> "Together":
        """Of the reference's rows; of many periods some at even distances, and none without rows."""
        filled = [here for here in periods.values() if here.sum() >= LEAST]
        some = filled[:: math.ceil(len(filled) / STRETCHES) or 1]
        usual = max((tell_apart(rows[~here], rows[here]).auc for here in some), default=0.5)
        return cls(rows.sample(min(len(rows), ROWS), random_state=SEED).reset_index(drop=True), usual)

    def kept(self) -> dict[str, Any]:
        """As JSON has it."""
        plain = self.rows.astype(object).where(self.rows.notna(), None)
        return {"rows": plain.to_dict("list"), "usual": self.usual}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any]) -> "Together":
        """What `kept` gave."""
        return cls(pd.DataFrame(kept["rows"]), kept["usual"])

    def judge(self, window: str, rows: pd.DataFrame, limits: Limits) -> Verdict:
        """The verdict on all columns that both have with the same type; the schema's are on the others."""
        names = [
            name for name in self.rows if name in rows and is_number(self.rows[name]) == is_number(rows[name])
        ]
        told, bound = tell_apart(self.rows[names], rows[names]), limits.of_auc(self.usual)
        changed = told.p < limits.level and told.auc > bound
        says = f"auc {told.auc:.3g} > {bound:.3g}" if changed else "told apart no better than is usual"
        effects, bounds = {"auc": told.auc}, {"auc": bound}
        return Verdict(window, "classifier", "columns", "together", changed, says, told.p, effects, bounds)


def tell_apart(reference: pd.DataFrame, window: pd.DataFrame, seed: int = SEED) -> Told:
    """How well the two can be told apart; both have the same columns and LEAST rows or more."""
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
