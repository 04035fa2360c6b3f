"""One watch: its reference, which it learns once and keeps, and a look at the windows that there are."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from workloads import common
from workloads.common import HopelessError, log
from workloads.train_delay.features import KEY
from workloads.watch_drift.classifier import Together
from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.days import UsualDays, alarms, streams
from workloads.watch_drift.flights import FEATURES, SCORE, Lake, States, features
from workloads.watch_drift.predictions import PREDICTION, RESIDUAL, Given, Model, late
from workloads.watch_drift.reference import Reference, sliding
from workloads.watch_drift.stream import Stream
from workloads.watch_drift.verdicts import Verdict, judge, starved
from workloads.watch_drift.windows import month_of


@dataclass(frozen=True)
class Look:
    """What one look came to."""

    snapshot: str
    """Of the flights."""
    rows: Mapping[str, int]
    """Watched window → its flights."""
    verdicts: list[Verdict]
    current: str
    """The window that matters now: the last with flights, or the one at which the feed starved."""
    judged: Collection[str] = ()
    """The windows that columns were judged of."""

    def of_current(self) -> list[Verdict]:
        return [verdict for verdict in self.verdicts if verdict.window == self.current]

    def times(self, verdict: Verdict) -> int:
        """How many windows have changed in what this verdict is about."""
        return sum(each.changed for each in self.verdicts if each.of == verdict.of)


class Watch:
    """Looks at the flights, and judges them anew when one of the tables has changed."""

    def __init__(self, settings: WatchDrift, lake: Lake, store: "Store", model: Model | Given | None) -> None:
        self.settings, self.lake, self.model = settings, lake, model
        self.reference = store.get(self.identity()) or self._learn()
        store.put(self.reference)
        self.days = UsualDays.from_kept(self.reference.about["days"])
        kept = self.reference.about.get("together")
        self.together = Together.from_kept(kept) if kept else None
        self.last: Look | None = None
        self.states: States = {}

    def identity(self) -> dict[str, Any]:
        """What decides what the reference is of."""
        settings = self.settings
        return {
            "catalog": settings.catalog,
            "schema": settings.schema,
            "months": settings.reference_months,
            "window": settings.window,
            "classifier": settings.classifier,
            "model": settings.model,
            "version": self.model.version if self.model else "",
            "predictions": settings.predictions,
        }

    def _learn(self) -> Reference:
        states = self.lake.states()
        rows = pd.concat([self.lake.read(month, states) for month in self.settings.reference_months])
        rows = rows.reset_index(drop=True)
        watched = self.columns(rows)
        lacking = [name for name in FEATURES if name not in watched]
        if lacking or rows.empty:
            what = f"no column {', '.join(lacking)}" if lacking else "no flights"
            raise HopelessError(
                f"the months {self.settings.reference_months} have {what}; run ingest_flights first"
            )
        scores = self.settings.predictions
        if scores and (PREDICTION not in watched or watched[PREDICTION].isna().all()):
            raise HopelessError(
                f"table {scores} has no score of the months {self.settings.reference_months}; "
                f"its columns must be {', '.join([*KEY, SCORE])}"
            )
        dates = pd.to_datetime(rows[["year", "month", "day"]].astype("int64"))
        days = UsualDays.learn(rows, late(rows, self.settings.late_minutes))
        periods = sliding(dates, self.settings.windows.days, self.settings.windows.step)
        about = {"identity": self.identity(), "snapshot": states["flights"].snapshot, "days": days.kept()}
        predictions = [name for name in (PREDICTION, RESIDUAL) if name in watched]
        learned = Reference.learn(watched, periods, predictions=predictions, about=about)
        calm = self.settings.limits.calm(learned)
        if self.settings.classifier and calm:
            together = Together.learn(watched[calm], periods)
            learned = replace(learned, about={**about, "together": together.kept()})
        log("learned", rows=len(rows), columns=watched.shape[1])
        return learned

    def columns(self, rows: pd.DataFrame) -> pd.DataFrame:
        """What is watched of these flights."""
        return features(rows).assign(**self.model.columns(rows) if self.model else {})

    def read(self, window: str) -> pd.DataFrame:
        """The flights of a window that has some, as the last look found them."""
        rows = self.lake.read(month_of(window), self.states)
        return self.settings.windows.split(rows)[window]

    def look(self) -> Look:
        """The verdicts on watched windows; those of the look before, where the tables are as they were."""
        states = self.lake.states()
        if self.last and self.states == states:
            return self.last
        windows = self.settings.windows
        there = windows.counted(self.settings.watched_months, self.lake.rows(windows.by))
        feed = starved(list(there)[-1], list(there.values()))
        filled = [window for window, flights in there.items() if flights]
        judged, followed = filled[-windows.most :], streams(self.days, self.settings.detectors)
        found = [
            verdict
            for month in sorted({month_of(window) for window in filled})
            for verdict in self._judge(month, states, judged, followed)
        ]
        current = filled[-1] if filled and not feed.changed else feed.window
        self.last = Look(states["flights"].snapshot, there, [*found, feed], current, judged)
        self.states = states
        return self.last

    def _judge(
        self, month: int, states: States, judged: Collection[str], followed: Mapping[str, Stream]
    ) -> Iterator[Verdict]:
        """On the windows of a month that are to be judged. The streams go on, month after month."""
        rows = self.lake.read(month, states)
        days = self._alarms(rows, followed)
        parts = self.settings.windows.split(rows)
        own = {window: part.index for window, part in parts.items() if window in judged}
        columns = self.columns(rows) if own else rows
        limits, least = self.settings.limits, self.settings.least_rows
        for window, part in own.items():
            yield from judge(self.reference, window, columns.loc[part], limits, least)
            if self.together and len(part) >= least:
                yield self.together.judge(window, columns.loc[part], limits)
            yield from (self._of_days(window, name, alarms) for name, alarms in days.items())

    def _alarms(self, rows: pd.DataFrame, followed: Mapping[str, Stream]) -> dict[str, list[str]]:
        """For each detector the days of an alarm; none of them where a column is missing that tells."""
        if not {"month", "day", "hour", "arr_delay"} <= set(rows):
            return {}
        return alarms(self.days, rows, late(rows, self.settings.late_minutes), followed)

    def _of_days(self, window: str, detector: str, days: list[str]) -> Verdict:
        own = [day for day in days if self.settings.windows.of_day(day) == window]
        says = f"days unlike those of the reference until {', '.join(own)}" if own else "as the reference"
        return Verdict(window, "stream", "late", f"days by {detector}", bool(own), says)


class Store:
    """Where the reference is kept: in the object store, by the name of the watch."""

    def __init__(self, s3: Any, bucket: str, name: str) -> None:
        self.s3, self.bucket, self.key = s3, bucket, f"drift/{name}/reference.json"

    def get(self, identity: Mapping[str, Any]) -> Reference | None:
        """The one that was kept, where it is of the same months and model."""
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=self.key)["Body"].read()
        except Exception as error:
            if "NoSuchKey" in str(error):
                return None
            raise common.WorkloadError(f"the object store cannot be read ({self.key}): {error}") from error
        kept = Reference.from_json(body.decode())
        if kept.about["identity"] != identity:
            log("the kept reference is of something else; learning anew", kept=kept.about["identity"])
            return None
        return kept

    def put(self, reference: Reference) -> None:
        """Keep it; the same again changes nothing."""
        self.s3.put_object(Bucket=self.bucket, Key=self.key, Body=reference.to_json().encode())
