"""Which data, and how it becomes rows for the network: one Iceberg snapshot, read from the object store."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pandas as pd

from workloads import common
from workloads.common import HopelessError, WorkloadError
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.features import FLIGHT_COLUMNS, WEATHER_COLUMNS, Preprocessing, label, prepare


@dataclass(frozen=True)
class Content:
    """What the data is, wherever it lies."""

    flights_snapshot: int
    weather_snapshot: int
    flights_sha256: str

    @classmethod
    def of(cls, identity: dict[str, Any]) -> "Content":
        """The content that a checkpoint's identity names."""
        return cls(**{field.name: identity[field.name] for field in fields(cls)})


@dataclass(frozen=True)
class Source:
    """What the data is, and the metadata file of each table."""

    content: Content
    flights_metadata: str
    weather_metadata: str


@dataclass
class Data:
    """One set of rows, ready for the network."""

    rows: pd.DataFrame
    inputs: Any
    """A matrix of float32, as an array of the framework that is trained with."""
    labels: Any


def locate(settings: TrainDelay, snapshot: int | None, begun_with: Content | None) -> Source:
    """The snapshots that the training began with, or else those of the last load; `snapshot`, where it is
    given, is that of the flights.
    """
    content = begun_with or last_load()
    if snapshot:
        content = replace(content, flights_snapshot=snapshot)
    trino = common.trino()

    def metadata(table: str) -> str:
        rows = common.query(
            trino,
            f'SELECT file FROM {settings.catalog}.{settings.schema}."{table}$metadata_log_entries" '
            "ORDER BY timestamp DESC LIMIT 1",
        )
        return str(rows[0][0])

    return Source(content, flights_metadata=metadata("flights"), weather_metadata=metadata("weather"))


def last_load() -> Content:
    """What the last load recorded of itself."""
    try:
        body = common.s3().get_object(Bucket=common.env("S3_BUCKET"), Key=common.LOAD_RECORD)["Body"].read()
    except Exception as error:
        missing = "NoSuchKey" in str(error)
        what = (
            "no load is recorded, run ingest_flights first" if missing else "the object store cannot be read"
        )
        raise WorkloadError(f"{what} ({common.LOAD_RECORD}): {error}") from error
    tables = json.loads(body)["tables"]
    return Content(
        flights_snapshot=int(tables["flights"]["snapshot_id"]),
        weather_snapshot=int(tables["weather"]["snapshot_id"]),
        flights_sha256=tables["flights"]["content_sha256"],
    )


def read_snapshot(
    metadata: str, snapshot: int, columns: tuple[str, ...], months: tuple[int, ...]
) -> pd.DataFrame:
    """Rows of one Iceberg snapshot, read from its Parquet files in the object store."""
    from pyiceberg.expressions import AlwaysTrue, In
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(
        metadata,
        properties={
            "s3.endpoint": common.env("AWS_ENDPOINT_URL"),
            "s3.access-key-id": common.env("AWS_ACCESS_KEY_ID"),
            "s3.secret-access-key": common.env("AWS_SECRET_ACCESS_KEY"),
            "s3.region": os.environ.get("AWS_REGION", "us-east-1"),
        },
    )
    require_snapshot(table, snapshot)
    wanted = In("month", months) if months else AlwaysTrue()
    scan = table.scan(row_filter=wanted, selected_fields=columns, snapshot_id=snapshot)
    return scan.to_arrow().to_pandas()


def require_snapshot(table: Any, snapshot: int) -> None:
    if table.snapshot_by_id(snapshot) is None:
        known = [str(entry.snapshot_id) for entry in table.metadata.snapshots]
        raise HopelessError(
            f"the table at {table.metadata.location} has no snapshot {snapshot}; "
            f"its last ones are: {', '.join(known[-5:])}"
        )


def read(settings: TrainDelay, source: Source) -> pd.DataFrame:
    """The months that are needed, joined with the weather."""
    months = settings.train_months + settings.validation_months + settings.test_months
    content = source.content
    flights = read_snapshot(source.flights_metadata, content.flights_snapshot, FLIGHT_COLUMNS, months)
    weather = read_snapshot(source.weather_metadata, content.weather_snapshot, WEATHER_COLUMNS, ())
    return prepare(flights, weather)


def split(
    settings: TrainDelay, rows: pd.DataFrame, array: Callable[[np.ndarray], Any]
) -> tuple[Preprocessing, dict[str, Data]]:
    """Training, validation and test rows by month; the scaling is learned from the training rows alone.

    `array` makes a framework's array of NumPy's, for example `torch.from_numpy`.
    """
    months = {
        "train": settings.train_months,
        "validation": settings.validation_months,
        "test": settings.test_months,
    }
    parts = {name: rows[rows["month"].isin(wanted)] for name, wanted in months.items()}
    if settings.rows:
        parts = {name: part.head(settings.rows) for name, part in parts.items()}
    empty = [name for name, part in parts.items() if part.empty]
    if empty:
        raise HopelessError(f"the snapshot has no rows for {', '.join(empty)} (months {months})")
    preprocessing = Preprocessing.learn(parts["train"])
    data = {
        name: Data(
            rows=part,
            inputs=array(preprocessing.apply(part)),
            labels=array(label(part, settings.late_minutes)),
        )
        for name, part in parts.items()
    }
    return preprocessing, data
