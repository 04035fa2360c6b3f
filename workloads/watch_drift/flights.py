"""The flights of a month from the lake, each with the weather at its origin in its scheduled hour, and with
its score where scores are kept in a table.

Only columns that the tables have are asked for: one that went missing is a verdict, no failed query.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workloads import common
from workloads.train_delay.features import CATEGORIES, KEY, WEATHER
from workloads.watch_drift.config import WatchDrift

FLIGHT_COLUMNS = (
    "year", "month", "day", "hour", "minute", "sched_dep_time", "carrier", "flight", "origin", "dest",
    "distance", "dep_delay", "arr_delay",
)  # fmt: skip
SCORE = "score"
"""Column of that table, beside those of KEY."""
NUMERIC = ("tinyint", "smallint", "integer", "bigint", "real", "double", "decimal")
"""Trino's types that are numbers, as they begin."""
FEATURES = ("dep_delay", "distance", "minute_of_day", *CATEGORIES, *WEATHER)
"""What is watched: the model's features before they are scaled. Day and month go by the calendar and would be
called changed in every window."""


@dataclass(frozen=True)
class State:
    """Of a table; another one means that there is something to judge."""

    snapshot: str
    types: Mapping[str, str]
    """A column that is dropped or renamed makes no snapshot."""


class Lake:
    """The tables of flights, weather and perhaps scores, as they are at this moment."""

    def __init__(self, trino: Any, settings: WatchDrift) -> None:
        self.trino = trino
        self.place = f"{settings.catalog}.{settings.schema}"
        self.scores = settings.predictions
        self.tables = ("flights", "weather", *filter(None, [self.scores]))

    def types(self, table: str) -> dict[str, str]:
        """The columns of a table, with their types."""
        return {
            row[0]: str(row[1]).lower() for row in common.query(self.trino, f"DESCRIBE {self.place}.{table}")
        }

    def snapshot(self, table: str = "flights") -> str:
        """The id of the newest one."""
        sql = f"SELECT snapshot_id FROM {self.place}.\"{table}$refs\" WHERE name = 'main'"
        return str(common.query(self.trino, sql)[0][0])

    def states(self) -> tuple[State, ...]:
        """Of each table; that of the flights is the first."""
        return tuple(State(self.snapshot(name), self.types(name)) for name in self.tables)

    def rows(self) -> dict[int, int]:
        """Month → flights."""
        sql = f"SELECT month, count(*) FROM {self.place}.flights GROUP BY month"
        return {int(month): int(count) for month, count in common.query(self.trino, sql)}

    def read(self, month: int) -> pd.DataFrame:
        """The flights of a month in the order in which they were to leave."""
        flights, weather = self.types("flights"), self.types("weather")
        columns = {name: flights[name] for name in FLIGHT_COLUMNS if name in flights}
        observed = {name: weather[name] for name in WEATHER if name in weather}
        scored = self._scored(columns)
        rows = common.query(
            self.trino,
            month_sql(self.place, list(columns), list(observed), month, self.scores if scored else ""),
        )
        types = {**columns, **observed, **scored}
        return typed(pd.DataFrame(rows, columns=list(types)), types)

    def _scored(self, columns: Collection[str]) -> dict[str, str]:
        """The column of scores with its type, where flights with these columns can be told their scores."""
        there = self.types(self.scores) if self.scores else {}
        return {SCORE: there[SCORE]} if {*KEY, SCORE} <= set(there) and {*KEY} <= set(columns) else {}


def month_sql(place: str, columns: list[str], observed: list[str], month: int, scores: str = "") -> str:
    """One statement. The weather has a row for each origin and hour, and the same row twice in a few; so may
    the table of scores.
    """
    own = ", ".join(f"f.{name}" for name in columns)
    seen = "".join(f", w.{name}" for name in observed)
    once = "".join(f", min({name}) AS {name}" for name in observed)
    order = ", ".join(f"f.{name}" for name in KEY if name in columns)
    keys, same = ", ".join(KEY), " AND ".join(f"f.{name} = s.{name}" for name in KEY)
    score = f", s.{SCORE}" if scores else ""
    join = (
        f"LEFT JOIN (SELECT {keys}, min({SCORE}) AS {SCORE} FROM {place}.{scores} WHERE month = {month} "
        f"GROUP BY {keys}) s ON {same} "
    )
    return (
        f"SELECT {own}{seen}{score} FROM {place}.flights f LEFT JOIN "
        f"(SELECT origin, time_hour{once} FROM {place}.weather GROUP BY origin, time_hour) w "
        f"ON f.origin = w.origin AND f.time_hour = w.time_hour {join if scores else ''}"
        f"WHERE f.month = {month} ORDER BY {order}"
    )


def typed(rows: pd.DataFrame, types: Mapping[str, str]) -> pd.DataFrame:
    """Numbers where Trino has numbers, also where all are missing."""
    numbers = [name for name, kind in types.items() if kind.startswith(NUMERIC)]
    return rows.astype(dict.fromkeys(numbers, "float64"))


def features(rows: pd.DataFrame) -> pd.DataFrame:
    """Those of FEATURES that the rows have."""
    made = rows.copy()
    if {"hour", "minute"} <= set(rows):
        made["minute_of_day"] = rows["hour"] * 60 + rows["minute"]
    return made[[name for name in FEATURES if name in made]]
