"""Whether a new version is better than the one that serves: on the same flights, by the same measure.

The measure is the log-loss of the score, not how often it is right at some threshold (which McNemar's test
would compare): `booking_api` prices by the score itself, and its threshold is a setting. The training of the
new version scored its test flights with both, so the differences flight by flight are looked at. Those of one
day are not independent: they share weather, crews and aircraft. So days are drawn with replacement, each with
all of its flights.
"""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from client import Platform
from workloads.train_delay.features import KEY
from workloads.train_delay.metrics import EVALUATION, PREDICTIONS, PREDICTIONS_AGAINST

Floats = NDArray[np.float64]
DRAWS = 10_000
SEED = 13
CONFIDENCE = 0.95
FEWEST_DAYS = 20
"""Of fewer, a percentile of draws says little."""
NEAREST = 1e-6
"""A score counts as no nearer to 0 or 1: float32 rounds there, and one flight must not decide all."""
DAY = ["month", "day"]


class Incomparable(Exception):
    """The two cannot be compared by what is there; says why."""


@dataclass(frozen=True)
class Tested:
    """What a training's run kept of its test: flights as the new version and as another one scored them."""

    new: pd.DataFrame
    """KEY, `arr_delay` in minutes, `late_probability`."""
    old: pd.DataFrame
    late_minutes: int
    against: str
    """`NAME/VERSION` of the other."""


@dataclass(frozen=True)
class Comparison:
    """The new version's mean log-loss minus the other's: below 0 it is better."""

    difference: float
    low: float
    high: float
    """Ends of the 95 % interval."""
    flights: int
    days: int
    new_loss: float
    old_loss: float

    def better(self, gain: float) -> bool:
        """Whether all of the interval is better by more than `gain`."""
        return self.high < -gain

    def __str__(self) -> str:
        return (
            f"log-loss {self.new_loss:.4f} against {self.old_loss:.4f}: {self.difference:+.4f} "
            f"[{self.low:+.4f}, {self.high:+.4f}] on {self.flights} flights of {self.days} days"
        )


def tested(platform: Platform, run_id: str) -> Tested:
    """What a training's run kept of its test.

    Raises:
        Incomparable: it kept nothing, or tested its own version alone.
    """
    registry = platform.mlflow()
    kept = {each.path for each in registry.list_artifacts(run_id)}
    if missing := {EVALUATION, PREDICTIONS, PREDICTIONS_AGAINST} - kept:
        raise Incomparable(f"run {run_id} kept no {' and no '.join(sorted(missing))}")
    with tempfile.TemporaryDirectory() as folder:
        report, *scored = (
            Path(registry.download_artifacts(run_id, name, folder))
            for name in (EVALUATION, PREDICTIONS, PREDICTIONS_AGAINST)
        )
        said: dict[str, Any] = json.loads(report.read_text())
        new, old = map(pd.read_parquet, scored)
    return Tested(new, old, int(said["late_minutes"]), said["against"]["version"])


def compare(found: Tested) -> Comparison:
    """The paired difference and its interval.

    Raises:
        Incomparable: the flights differ, or there are too few days.
    """
    here, there = (
        each.sort_values(KEY, kind="stable").reset_index(drop=True) for each in (found.new, found.old)
    )
    columns = [*KEY, "arr_delay"]
    if not here[columns].equals(there[columns]):
        raise Incomparable(f"they were not tested on the same flights: {_about(here)} and {_about(there)}")
    late = here["arr_delay"].to_numpy(float) > found.late_minutes
    losses = [loss(late, each["late_probability"].to_numpy(float)) for each in (here, there)]
    by_day = pd.DataFrame({"d": losses[0] - losses[1]}).groupby([here[name] for name in DAY])["d"]
    sums = np.asarray(by_day.sum(), dtype=np.float64)
    counts = np.asarray(by_day.count(), dtype=np.float64)
    if len(sums) < FEWEST_DAYS:
        raise Incomparable(f"{len(sums)} days are too few to compare on; it takes {FEWEST_DAYS}")
    low, high = interval(sums, counts)
    return Comparison(
        float(sums.sum() / counts.sum()), low, high, len(here), len(sums),
        float(losses[0].mean()), float(losses[1].mean()),
    )  # fmt: skip


def loss(late: NDArray[np.bool_], score: Floats) -> Floats:
    """The log-loss of each flight, in nats."""
    bounded = np.clip(score, NEAREST, 1 - NEAREST)
    return np.asarray(-np.log(np.where(late, bounded, 1 - bounded)))


def interval(sums: Floats, counts: Floats, draws: int = DRAWS) -> tuple[float, float]:
    """Of the mean over all flights: the percentiles of draws of whole days, with a fixed seed."""
    days = len(sums)
    drawn = np.random.default_rng(SEED).multinomial(days, np.full(days, 1 / days), size=draws).astype(float)
    means = (drawn @ sums) / (drawn @ counts)
    tail = (1 - CONFIDENCE) / 2
    # Of so few days a percentile is too near to the middle, by this (Hesterberg 2015: expanded percentiles).
    wider = np.sqrt(days / (days - 1)) * stats.t.ppf(1 - tail, days - 1) / stats.norm.ppf(1 - tail)
    middle = float(sums.sum() / counts.sum())
    low, high = np.quantile(middle + wider * (means - middle), [tail, 1 - tail])
    return float(low), float(high)


def _about(rows: pd.DataFrame) -> str:
    months = ", ".join(str(month) for month in sorted(rows["month"].unique()))
    return f"{len(rows)} flights of month {months}"
