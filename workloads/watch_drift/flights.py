"""The flights of a month from the lake, each with the weather at its origin in its scheduled hour, and with
its score where scores are kept in a table.

Only columns that the tables have are asked for: one that went missing is a verdict, no failed query.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from workloads import common
from workloads.common import WorkloadError
from workloads.train_delay.features import CATEGORIES, KEY, WEATHER
from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.windows import Place

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
    """By column; one that is dropped or renamed makes no snapshot."""


States = Mapping[str, State]
"""By table."""


class Lake:
    """The tables of flights, weather and perhaps scores, as they are at this moment."""

    def __init__(self, trino: Any, settings: WatchDrift) -> None:
        self.trino = trino
        self.catalog, self.schema = settings.catalog, settings.schema
        self.place = f"{self.catalog}.{self.schema}"
        self.scores = settings.predictions
        self.tables = ("flights", "weather", *filter(None, [self.scores]))

    def states(self) -> States:
        """Of each table, by one statement.

        Raises:
            WorkloadError: Trino refused it, or could not read a table: it tells no columns and no error then.
        """
        found: dict[str, dict[str, str]] = {table: {} for table in self.tables}
        for table, column, said in common.query(self.trino, self._states_sql()):
            found[table][column] = str(said).lower()
        states = {table: State(types.pop("", ""), types) for table, types in found.items()}
        if unread := [table for table, state in states.items() if not state.types]:
            raise WorkloadError(f"Trino tells no columns of {', '.join(unread)} in {self.place}")
        return states

    def _states_sql(self) -> str:
        """`(table, column, type)` of each column, and for each table `(table, '', id of its snapshot)`."""
        names = ", ".join(f"'{table}'" for table in self.tables)
        columns = (
            f"SELECT table_name, column_name, data_type FROM {self.catalog}.information_schema.columns "
            f"WHERE table_schema = '{self.schema}' AND table_name IN ({names})"
        )
        newest = [
            f"SELECT '{table}', '', CAST(snapshot_id AS varchar) FROM {self.place}.\"{table}$refs\" "
            "WHERE name = 'main'"
            for table in self.tables
        ]
        return " UNION ALL ".join([columns, *newest])

    def rows(self, by: Sequence[str]) -> dict[Place, int]:
        """The flights of each month, or of each month and day."""
        names = ", ".join(by)
        sql = f"SELECT {names}, count(*) FROM {self.place}.flights GROUP BY {names}"
        found = common.query(self.trino, sql)
        return {tuple(int(number) for number in place): int(count) for *place, count in found}

    def read(self, month: int, states: States) -> pd.DataFrame:
        """The flights of a month in the order in which they were to leave; the tables have these columns."""
        flights, weather = states["flights"].types, states["weather"].types
        columns = {name: flights[name] for name in FLIGHT_COLUMNS if name in flights}
        observed = {name: weather[name] for name in WEATHER if name in weather}
        scored = self._scored(columns, states)
        rows = common.query(
            self.trino,
            month_sql(self.place, list(columns), list(observed), month, self.scores if scored else ""),
        )
        types = {**columns, **observed, **scored}
        return typed(pd.DataFrame(rows, columns=list(types)), types)

    def _scored(self, columns: Collection[str], states: States) -> dict[str, str]:
        """The column of scores with its type, where flights with these columns can be told their scores."""
        there = states[self.scores].types if self.scores else {}
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
