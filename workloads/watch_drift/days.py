"""How surprising each day was, among the days of the reference, and when these days have changed.

Flights of one day are late together: event by event every storm is a change, and rightly so. What is asked of
a watch is whether days are other days than they were, so here a day is one event.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workloads.watch_drift.distributions import Numbers, from_kept
from workloads.watch_drift.e_detector import EDetector
from workloads.watch_drift.usual import UsualRate, shares

EVENTS = 1000.0
"""Days between false alarms, in the mean, where days do not depend on each other; they do a little."""


@dataclass(frozen=True)
class UsualDays:
    """What is usual of an hour, and how far a day's mean lies from that."""

    hours: UsualRate
    days: Numbers

    @classmethod
    def learn(cls, rows: pd.DataFrame, happened: pd.Series) -> "UsualDays":
        """Of rows with `month`, `day` and `hour`; rows whose outcome is missing are left out."""
        known = happened.dropna()
        hours = UsualRate.learn(known, rows.loc[known.index, "hour"])
        return cls(hours, Numbers.of(_means(hours, rows, happened)))

    def kept(self) -> dict[str, Any]:
        """As JSON has it."""
        rates = {str(hour): rate for hour, rate in self.hours.rates.items()}
        return {"rates": rates, "whole": self.hours.whole, "days": self.days.kept()}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any]) -> "UsualDays":
        """What `kept` gave."""
        rates = {int(hour): rate for hour, rate in kept["rates"].items()}
        days = from_kept(kept["days"])
        assert isinstance(days, Numbers)
        return cls(UsualRate(rates, kept["whole"]), days)

    def surprises(self, rows: pd.DataFrame, happened: pd.Series) -> Iterator[tuple[str, float]]:
        """Of each day in turn, within [-1, 1]: where its mean stands among those of the reference."""
        for date, mean in _means(self.hours, rows, happened).items():
            below, upto = shares(self.days, mean)
            yield str(date), below + upto - 1


def new_detector() -> EDetector:
    """Of days, which come one after the other, month after month."""
    return EDetector(EVENTS)


def alarms(usual: UsualDays, rows: pd.DataFrame, happened: pd.Series, detector: EDetector) -> list[str]:
    """The days of these rows, as `07-24`, on which the detector raised an alarm."""
    return [day for day, surprise in usual.surprises(rows, happened) if detector.update(surprise)]


def _means(hours: UsualRate, rows: pd.DataFrame, happened: pd.Series) -> pd.Series:
    """By date, as `07-24`, in order."""
    known = rows.assign(happened=happened).dropna(subset=["happened"])
    surprise = known["happened"] - known["hour"].map(dict(hours.rates)).fillna(hours.whole)
    date = [f"{int(month):02}-{int(day):02}" for month, day in zip(known["month"], known["day"], strict=True)]
    return surprise.groupby(date).mean()
