"""What windows are compared with: the kept columns, and how unlike the reference's own periods are.

A season is no drift. How far a period of the reference (a month, a week) lies from the others is what a
window may differ by before it is called changed.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from workloads.common import HopelessError, digest
from workloads.watch_drift.distributions import Column, Numbers, column_of, from_kept, rest_of
from workloads.watch_drift.measures import measure

FORMAT = "seatrial.drift/v1"
Mask = np.ndarray[Any, np.dtype[np.bool_]]
"""Which rows are meant."""


@dataclass(frozen=True)
class Reference:
    """`columns` by name, and of each the largest effect that one of its periods had against the others."""

    columns: Mapping[str, Column]
    seasons: Mapping[str, Mapping[str, float]]
    """Column → effect (or `nulls`) → its largest value among the reference's own periods."""
    periods: tuple[str, ...] = ()
    predictions: tuple[str, ...] = ()
    """Columns that a model made."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """Where the rows come from."""

    @classmethod
    def learn(
        cls,
        rows: pd.DataFrame,
        periods: Mapping[str, Mask],
        *,
        predictions: Sequence[str] = (),
        about: Mapping[str, Any] | None = None,
    ) -> "Reference":
        """Of all columns of `rows`. `periods` are as long as the windows will be, and may overlap.

        Raises:
            HopelessError: there are fewer than two periods.
        """
        if len(periods) < 2:
            raise HopelessError(
                f"the reference has the period {', '.join(periods) or 'none'}; what is usual between periods "
                "takes two, for example the months 1 and 2"
            )
        whole = {str(name): column_of(rows[name]) for name in rows}
        columns = {name: column.thinned() for name, column in whole.items()}
        seasons: dict[str, dict[str, float]] = {name: defaultdict(float) for name in columns}
        for here in periods.values():
            period = rows[here]
            for name, column in whole.items():
                rest = rest_of(column, column_of(period[name]))
                measured = measure(rest, period[name])
                for effect, size in {**measured.effects, "nulls": abs(measured.nulls)}.items():
                    seasons[name][effect] = max(seasons[name][effect], size)
        plain = {name: dict(effects) for name, effects in seasons.items()}
        return cls(columns, plain, tuple(periods), tuple(predictions), dict(about or {}))

    @property
    def sha256(self) -> str:
        """Equal only for what gives the same verdicts."""
        return digest(json.dumps(self._content(), sort_keys=True).encode())

    def _content(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "columns": {name: column.kept() for name, column in self.columns.items()},
            "seasons": self.seasons,
            "periods": list(self.periods),
            "predictions": list(self.predictions),
            "about": self.about,
        }

    def to_json(self) -> str:
        return json.dumps({**self._content(), "sha256": self.sha256})

    @classmethod
    def from_json(cls, text: str) -> "Reference":
        """What `to_json` gave.

        Raises:
            HopelessError: it is of another format, or was changed since.
        """
        kept = json.loads(text)
        if kept.get("format") != FORMAT:
            raise HopelessError(f"the reference has the format {kept.get('format')!r}, not '{FORMAT}'")
        made = cls(
            columns={name: from_kept(column) for name, column in kept["columns"].items()},
            seasons=kept["seasons"],
            periods=tuple(kept["periods"]),
            predictions=tuple(kept["predictions"]),
            about=kept["about"],
        )
        if made.sha256 != kept["sha256"]:
            raise HopelessError(
                f"the reference says that its hash is {kept['sha256'][:12]}…, it is {made.sha256[:12]}…: it "
                "was changed or cut off; learn it again"
            )
        return made

    def kind(self, name: str) -> str:
        """`prediction` or `feature`."""
        return "prediction" if name in self.predictions else "feature"

    def type_of(self, name: str) -> str:
        return "number" if isinstance(self.columns[name], Numbers) else "category"


def sliding(dates: pd.Series, days: int, step: int) -> dict[str, Mask]:
    """Periods of so many days, one beginning `step` days after the other, by the date that they begin with.

    Calendar months show few of the differences that there are between two stretches of the same length: of
    six, the largest is exceeded by the next month in one case of seven though nothing has changed.
    """
    day = (dates - dates.min()).dt.days.to_numpy()
    starts = range(0, int(day.max()) - days + 2, step)
    first = dates.min()
    return {
        f"{first + pd.Timedelta(days=start):%Y-%m-%d}": (day >= start) & (day < start + days)
        for start in starts
    }
