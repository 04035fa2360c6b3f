"""Trino as the shipper uses it, for tests: its statements are read as Trino's by sqlglot and run by DuckDB.

Tables of the catalog `postgresql` are those of a real staging database, read when a statement names them.
What only Iceberg knows (layout, housekeeping) is parsed by its form and noted.
"""

import re
import threading
from collections.abc import Callable
from typing import Any

import duckdb
import psycopg
import sqlglot

STAGED = re.compile(r"\bpostgresql\.public\.(\w+)")
LAYOUT = re.compile(r" WITH \(format = 'PARQUET', partitioning = ARRAY\['day\(\w+\)'\]\)$")
TIDYING = re.compile(
    r"ALTER TABLE iceberg\.\w+\.(\w+) EXECUTE "
    r"(optimize\(file_size_threshold => '\d+MB'\)|(?:expire_snapshots|remove_orphan_files)"
    r"\(retention_threshold => '\d+d'\))"
    r"|SET SESSION iceberg\.(?:expire_snapshots|remove_orphan_files)_min_retention = '\d+d'"
)


class Lake:
    """A connection to it."""

    def __init__(self, staging: str) -> None:
        self.staging = staging
        self.database = duckdb.connect()
        self.database.execute("SET TimeZone = 'UTC'")
        for name in ("iceberg", "postgresql"):
            self.database.execute(f"ATTACH ':memory:' AS {name}")
        self.database.execute("CREATE SCHEMA postgresql.public")
        self.statements: list[str] = []
        self.lock = threading.RLock()
        """Two threads take turns."""
        self.before: Callable[[str], None] = lambda _: None
        """Called with each statement before it is run; what it raises, Trino raises."""
        self.after: Callable[[str], None] = lambda _: None

    def cursor(self) -> "Cursor":
        return Cursor(self)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self.database.execute(sql).fetchall()
        return found

    def run(self, sql: str) -> list[tuple[Any, ...]]:
        with self.lock:
            return self._run(sql)

    def _run(self, sql: str) -> list[tuple[Any, ...]]:
        self.statements.append(sql)
        self.before(sql)
        if TIDYING.fullmatch(sql):
            return []
        for name in set(STAGED.findall(sql)):
            self._read(name)
        found = self.rows(translated(LAYOUT.sub("", sql)))
        self.after(sql)
        return found

    def _read(self, name: str) -> None:
        """The staging table as it is now."""
        with psycopg.connect(self.staging) as connection:
            cursor = connection.execute(f"SELECT * FROM public.{name}")
            assert cursor.description is not None
            columns = [
                f'"{column.name}" {_KINDS.get(column.type_code, "VARCHAR")}' for column in cursor.description
            ]
            rows = cursor.fetchall()
        self.database.execute(f"CREATE OR REPLACE TABLE postgresql.public.{name} ({', '.join(columns)})")
        self.database.executemany(
            f"INSERT INTO postgresql.public.{name} VALUES ({', '.join('?' * len(columns))})", rows
        )


_KINDS = {
    20: "BIGINT", 23: "INTEGER", 25: "VARCHAR", 701: "DOUBLE", 1184: "TIMESTAMPTZ", 1700: "DECIMAL(10, 2)",
}  # fmt: skip
"""DuckDB's types by the numbers of PostgreSQL's."""


class Cursor:
    """As the DB-API has it."""

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.rows: list[tuple[Any, ...]] = []

    def execute(self, sql: str) -> None:
        self.rows = self.lake.run(sql)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return self.rows


def translated(sql: str) -> str:
    """One statement of Trino's, for DuckDB, where the information schema is that of all catalogs.

    Raises:
        sqlglot.errors.ParseError: it is none of Trino's.
    """
    (made,) = sqlglot.transpile(
        sql,
        read="trino",
        write="duckdb",
        unsupported_level=sqlglot.ErrorLevel.RAISE,
        error_level=sqlglot.ErrorLevel.RAISE,
    )
    return made.replace("iceberg.information_schema.", "system.information_schema.")
