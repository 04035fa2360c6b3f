"""How surprising each day was, among the days of the reference, and when these days have changed.

Flights of one day are late together: event by event every storm is a change, and rightly so. What is asked of
a watch is whether days are other days than they were, so here a day is one event.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workloads.watch_drift.detectors import of_days
from workloads.watch_drift.distributions import Numbers
from workloads.watch_drift.stream import Stream
from workloads.watch_drift.usual import UsualRate, shares


@dataclass(frozen=True)
class UsualDays:
    """What is usual of an hour, and how far a day's mean lies from that."""

    hours: UsualRate
    means: tuple[float, ...]
    """Of the reference's days, in order."""

    @classmethod
    def learn(cls, rows: pd.DataFrame, happened: pd.Series) -> "UsualDays":
        """Of rows with `month`, `day` and `hour`; rows whose outcome is missing are left out."""
        known = happened.dropna()
        hours = UsualRate.learn(known, rows.loc[known.index, "hour"])
        return cls(hours, tuple(_means(hours, rows, happened).tolist()))

    def kept(self) -> dict[str, Any]:
        """As JSON has it."""
        rates = {str(hour): rate for hour, rate in self.hours.rates.items()}
        return {"rates": rates, "whole": self.hours.whole, "means": list(self.means)}

    @classmethod
    def from_kept(cls, kept: Mapping[str, Any]) -> "UsualDays":
        """What `kept` gave."""
        rates = {int(hour): rate for hour, rate in kept["rates"].items()}
        return cls(UsualRate(rates, kept["whole"]), tuple(kept["means"]))

    def surprises(self, rows: pd.DataFrame, happened: pd.Series) -> Iterator[tuple[str, float]]:
        """Of each day in turn, within [-1, 1]: where its mean stands among those of the reference."""
        means = _means(self.hours, rows, happened)
        yield from zip(map(str, means.index), self._placed(means.tolist()), strict=True)

    def own(self) -> Iterator[float]:
        """Of the reference's days themselves, in order."""
        return self._placed(self.means)

    def _placed(self, means: Iterable[float]) -> Iterator[float]:
        days = Numbers.of(pd.Series(self.means, dtype="float64"))
        for mean in means:
            below, upto = shares(days, mean)
            yield below + upto - 1


def streams(usual: UsualDays, names: Iterable[str]) -> dict[str, Stream]:
    """The same days for each of these detectors; they come one after the other, month after month."""
    return {name: Stream(of_days(name, usual.own())) for name in names}


def alarms(
    usual: UsualDays, rows: pd.DataFrame, happened: pd.Series, followed: Mapping[str, Stream]
) -> dict[str, list[str]]:
    """For each detector the days of these rows, as `07-24`, on which it raised an alarm."""
    found: dict[str, list[str]] = {name: [] for name in followed}
    for day, surprise in usual.surprises(rows, happened):
        for name, stream in followed.items():
            if stream.update(surprise):
                found[name].append(day)
    return found


def _means(hours: UsualRate, rows: pd.DataFrame, happened: pd.Series) -> pd.Series:
    """By date, as `07-24`, in order."""
    known = rows.assign(happened=happened).dropna(subset=["happened"])
    surprise = known["happened"] - known["hour"].map(dict(hours.rates)).fillna(hours.whole)
    date = [f"{int(month):02}-{int(day):02}" for month, day in zip(known["month"], known["day"], strict=True)]
    return surprise.groupby(date).mean()
