"""From rows of flights and weather to numbers. Only what is known when the aircraft leaves the gate is used.

That includes `dep_delay`, the delay at departure: the question is asked at departure, not when the ticket is
bought. `dep_time`, `arr_time` and `air_time` are not used, nor is the month, because the months of the test
are not among those of the training.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from workloads.train_delay.shape import Shape

CATEGORIES = ("carrier", "origin", "dest")
WEATHER = ("temp", "humid", "wind_speed", "precip", "visib", "pressure")
FLIGHT_COLUMNS = (
    "year", "month", "day", "hour", "minute", "time_hour", "sched_dep_time", "carrier", "flight", "tailnum",
    "origin", "dest", "distance", "dep_delay", "arr_delay",
)  # fmt: skip
WEATHER_COLUMNS = ("origin", "time_hour", *WEATHER)
INPUT_COLUMNS = (
    "year", "month", "day", "hour", "minute", "carrier", "origin", "dest", "distance", "dep_delay", *WEATHER,
)  # fmt: skip
"""What the registered model wants to see."""
KEY = ["month", "day", "sched_dep_time", "carrier", "flight", "origin", "dest"]
"""Sorted by these, the rows come in one order, whatever files they came from."""


def prepare(flights: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """The flights that landed where they should, each with the weather at its origin in its scheduled hour.

    Cancelled and diverted flights have no arrival delay and are left out.
    """
    landed = flights.dropna(subset=["arr_delay"])
    observed = weather.drop_duplicates(["origin", "time_hour"])
    joined = landed.merge(observed, on=["origin", "time_hour"], how="left", validate="many_to_one")
    return joined.sort_values(KEY, kind="stable").reset_index(drop=True)


def label(rows: pd.DataFrame, late_minutes: int) -> np.ndarray:
    return (rows["arr_delay"].to_numpy(dtype=np.float32) > late_minutes).astype(np.float32)


def numbers(rows: pd.DataFrame) -> np.ndarray:
    """The numeric features before scaling; what is missing stays NaN."""
    delay = rows["dep_delay"].to_numpy(dtype=np.float64)
    minute = rows["hour"].to_numpy(dtype=np.float64) * 60 + rows["minute"].to_numpy(dtype=np.float64)
    dates = pd.to_datetime(rows[["year", "month", "day"]])
    weekday = dates.dt.day_of_week.to_numpy(dtype=np.float64)
    columns = [
        np.clip(delay, -30, 180) / 60,
        np.sign(delay) * np.log1p(np.abs(delay)),
        rows["distance"].to_numpy(dtype=np.float64),
        *_circle(minute / 1440),
        *_circle(weekday / 7),
        *(rows[name].to_numpy(dtype=np.float64) for name in WEATHER),
    ]
    return np.stack(columns, axis=1)


def _circle(fraction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.sin(2 * np.pi * fraction), np.cos(2 * np.pi * fraction)


@dataclass(frozen=True)
class Preprocessing:
    """What was learned about the columns: the categories (code 0 is "not seen"), means and deviations."""

    categories: dict[str, list[str]]
    means: list[float]
    deviations: list[float]

    @classmethod
    def learn(cls, rows: pd.DataFrame) -> "Preprocessing":
        raw = numbers(rows)
        deviations = np.nanstd(raw, axis=0)
        return cls(
            categories={name: sorted(rows[name].astype(str).unique()) for name in CATEGORIES},
            means=np.nanmean(raw, axis=0).tolist(),
            deviations=np.where(deviations > 0, deviations, 1.0).tolist(),
        )

    def apply(self, rows: pd.DataFrame) -> np.ndarray:
        """One float32 matrix: category codes first, then the scaled numbers; missing ones become the mean."""
        codes = [self._codes(name, rows[name].astype(str)) for name in CATEGORIES]
        scaled = (numbers(rows) - np.array(self.means)) / np.array(self.deviations)
        return np.column_stack([*codes, np.nan_to_num(scaled, nan=0.0)]).astype(np.float32)

    def _codes(self, name: str, values: pd.Series) -> np.ndarray:
        known = {value: code for code, value in enumerate(self.categories[name], start=1)}
        return values.map(known).fillna(0).to_numpy(dtype=np.float32)

    def shape(self, hidden: int) -> Shape:
        """Of a network that takes these features."""
        return Shape(self.sizes, self.numeric, hidden)

    @property
    def sizes(self) -> list[int]:
        """Codes of each category, the unseen one included."""
        return [len(self.categories[name]) + 1 for name in CATEGORIES]

    @property
    def numeric(self) -> int:
        return len(self.means)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Preprocessing":
        return cls(**json.loads(text))
