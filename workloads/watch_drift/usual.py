"""What is usual at each hour of the day, so that a day's course is no drift.

A stream's values become surprises within [-1, 1] whose mean is 0 as long as nothing changes, at every hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from workloads.common import HopelessError
from workloads.watch_drift.distributions import Floats, Numbers

LEAST = 100
"""Events that an hour needs to have a course of its own; others go by all hours together."""


@dataclass(frozen=True)
class UsualRate:
    """Of what happens or not, by hour: a late flight, a wrong decision."""

    rates: Mapping[int, float]
    whole: float

    @classmethod
    def learn(cls, happened: pd.Series, hours: pd.Series) -> "UsualRate":
        """Each hour's rate, drawn towards the whole by one event, so that none is 0 or 1.

        Raises:
            HopelessError: there are no events.
        """
        if happened.empty:
            raise HopelessError("nothing happened in the reference that the usual rate could be learned from")
        whole = float((happened.sum() + 1) / (len(happened) + 2))
        grouped = happened.groupby(hours.to_numpy()).agg(["sum", "size"])
        kept = grouped[grouped["size"] >= LEAST]
        rates = (kept["sum"] + whole) / (kept["size"] + 1)
        return cls(dict(zip(kept.index.astype(int).tolist(), rates.tolist(), strict=True)), whole)

    def surprise(self, happened: float, hour: int) -> float:
        """What happened (0 or 1, or a probability) less the hour's rate."""
        return happened - self.rates.get(hour, self.whole)


@dataclass(frozen=True)
class UsualNumber:
    """Of a number, by hour: its distribution."""

    hours: Mapping[int, Numbers]
    whole: Numbers

    @classmethod
    def learn(cls, values: pd.Series, hours: pd.Series) -> "UsualNumber":
        """Missing values are left out."""
        present = values.dropna()
        at = hours[present.index].to_numpy()
        parts = {int(hour): present[at == hour] for hour in np.unique(at)}
        enough = {hour: Numbers.of(part) for hour, part in parts.items() if len(part) >= LEAST}
        return cls(enough, Numbers.of(present))

    def surprise(self, value: float, hour: int, lot: float) -> float:
        """2 u - 1 with u = F(x-) + lot (F(x) - F(x-)), which is uniform where x is of the distribution F.

        `lot`, from 0 to 1, is drawn for each event: it shares out the weight of equal values.
        """
        usual = self.hours.get(hour, self.whole)
        below, upto = shares(usual, value)
        return 2 * (below + lot * (upto - below)) - 1


def shares(of: Numbers, value: float) -> tuple[float, float]:
    """F(x-) and F(x)."""
    return _share(of, value, "left"), _share(of, value, "right")


def _share(of: Numbers, value: float, side: str) -> float:
    place = int(np.searchsorted(of.values, value, side=side))  # type: ignore[call-overload]
    return float(of.upto[place - 1]) / of.rows if place else 0.0


def surprises(usual: UsualNumber, values: Floats, hours: np.ndarray, dice: np.random.Generator) -> Floats:
    """Of many events."""
    lots = dice.random(len(values))
    return np.array([usual.surprise(x, int(h), lot) for x, h, lot in zip(values, hours, lots, strict=True)])
