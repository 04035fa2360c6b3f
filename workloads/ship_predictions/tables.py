"""The three tables: what is read of the log, how it is laid out in the lake, and the statement that puts rows
there, each once.

A prediction is known by its request id and its time: an id that was deleted from the log and is asked anew is
another prediction. Outcomes and corrections carry the prediction's time, and lie in the partition of its day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from workloads.ship_predictions.config import ShipPredictions

TYPES = {
    "bigint": "bigint",
    "integer": "integer",
    "text": "varchar",
    "double precision": "double",
    "numeric(10, 2)": "decimal(10, 2)",
    "timestamptz": "timestamp(6) with time zone",
}
"""Iceberg's types, as Trino calls them, by PostgreSQL's."""
SETTLED = "pg_snapshot_xmin(pg_current_snapshot())"
"""Every transaction below it has ended: no row of one of them can come to light later."""


@dataclass(frozen=True)
class Table:
    """One table of the lake."""

    name: str
    source: str
    """What follows FROM in the log; `l` is the log's table of this name."""
    columns: Mapping[str, tuple[str, str]]
    """`(type, expression)` in PostgreSQL, by column."""
    key: tuple[str, ...]
    day: str
    """The column by whose day the table is partitioned; part of the key."""
    newer: str = ""
    """Where a row may change: the column that is larger in the row that counts."""
    changing: tuple[str, ...] = ()
    added: tuple[str, ...] = ()
    """Columns that tables of the lake may lack that were made before."""

    def rows_sql(self, where: str) -> str:
        """Reads these rows of the log, with the types of the staging table."""
        wanted = ", ".join(f"({what})::{kind} AS {name}" for name, (kind, what) in self.columns.items())
        return f"SELECT {wanted} FROM {self.source} WHERE {where}"

    def next_sql(self) -> str:
        """Reads what follows the cursor (`xid`, `request_id`) and is settled, in order, `batch` rows at
        most.
        """
        order = 'l.xid, l.request_id COLLATE "C"'
        after = f'l.xid < {SETTLED} AND ({order}) > (%(xid)s::text::xid8, %(request_id)s::text COLLATE "C")'
        return f"{self.rows_sql(after)} ORDER BY {order} LIMIT %(batch)s"

    def waiting_sql(self) -> str:
        """Age in seconds of the oldest row after the cursor, settled or not; 0 where there is none."""
        return (
            "SELECT coalesce(extract(epoch FROM clock_timestamp() - min(l.at)), 0)::float8 "
            f"FROM {self.name} l "
            'WHERE (l.xid, l.request_id COLLATE "C") '
            '> (%(xid)s::text::xid8, %(request_id)s::text COLLATE "C")'
        )

    def staging_sql(self, place: str) -> str:
        columns = ", ".join(f"{name} {kind}" for name, (kind, _) in self.columns.items())
        return f"CREATE UNLOGGED TABLE {place} ({columns})"

    def create_sql(self, settings: ShipPredictions) -> str:
        columns = ", ".join(f'"{name}" {TYPES[kind]}' for name, (kind, _) in self.columns.items())
        layout = f"WITH (format = 'PARQUET', partitioning = ARRAY['day({self.day})'])"
        return f"CREATE TABLE IF NOT EXISTS {settings.place}.{self.name} ({columns}) {layout}"

    def added_sql(self, settings: ShipPredictions) -> list[str]:
        """Adds the columns that a table of before may lack; rows that it has are NULL there."""
        return [
            f"ALTER TABLE {settings.place}.{self.name} "
            f'ADD COLUMN IF NOT EXISTS "{name}" {TYPES[self.columns[name][0]]}'
            for name in self.added
        ]

    def cursor_sql(self, settings: ShipPredictions) -> str:
        """The last row, in the order in which rows are shipped, that the lake has."""
        return (
            f'SELECT "xid", "request_id" FROM {settings.place}.{self.name} '
            'ORDER BY "xid" DESC, "request_id" DESC LIMIT 1'
        )

    def merge_sql(
        self, settings: ShipPredictions, staged: str, days: tuple[datetime, datetime], *, insert: bool = True
    ) -> str:
        """Puts the staged rows into the lake, each once, however often it is run; a row that is there takes
        what changed, unless it is newer. Only partitions from the first to the second time are read.

        Without `insert` rows that are not there are left out.
        """
        columns = list(self.columns)
        same = " AND ".join(f't."{name}" = s."{name}"' for name in self.key)
        first, last = (f"CAST('{stamp(each)}' AS timestamp(6) with time zone)" for each in days)
        whens = []
        if self.newer:
            values = ", ".join(f'"{name}" = s."{name}"' for name in (*self.changing, self.newer))
            whens.append(f'WHEN MATCHED AND s."{self.newer}" > t."{self.newer}" THEN UPDATE SET {values}')
        if insert:
            names, values = (", ".join(f'{prefix}"{name}"' for name in columns) for prefix in ("", "s."))
            whens.append(f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})")
        return (
            f"MERGE INTO {settings.place}.{self.name} AS t "
            f"USING {settings.staging_catalog}.{settings.staging_schema}.{staged} AS s "
            f'ON {same} AND t."{self.day}" >= {first} AND t."{self.day}" <= {last} ' + " ".join(whens)
        )


def stamp(at: datetime) -> str:
    """As Trino reads it: `2013-07-04 05:15:00.000000 UTC`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f UTC")


def _own(**kinds: str) -> dict[str, tuple[str, str]]:
    """Columns that are taken as they are; the transaction's number, which Iceberg has no type for, as a
    bigint.
    """
    named = {name: (kind, f"l.{name}") for name, kind in kinds.items()}
    return {"xid": ("bigint", "l.xid::text"), **named}


PREDICTIONS = Table(
    "predictions",
    "predictions l",
    _own(
        request_id="text", at="timestamptz", tenant="text", model="text", version="text", experiment="text",
        variant="text", user_key="text", features="text", score="double precision", decision="text",
        price="numeric(10, 2)",
    ),
    key=("request_id", "at"),
    day="at",
)  # fmt: skip
_CORRECTIONS = "SELECT count(*) FROM outcome_changes c WHERE c.request_id = l.request_id"
OUTCOMES = Table(
    "outcomes",
    "outcomes l JOIN predictions p USING (request_id)",
    {
        **_own(request_id="text", at="timestamptz", outcome="double precision", source="text"),
        "predicted_at": ("timestamptz", "p.at"),
        "corrections": ("integer", _CORRECTIONS),
        "tenant": ("text", "l.tenant"),
    },
    key=("request_id", "predicted_at"),
    day="predicted_at",
    newer="corrections",
    changing=("outcome", "source"),
    added=("tenant",),
)
CHANGES = Table(
    "outcome_changes",
    "outcome_changes l JOIN predictions p USING (request_id)",
    {
        **_own(
            request_id="text", number="integer", at="timestamptz", old_outcome="double precision",
            old_source="text", outcome="double precision", source="text", reason="text",
        ),
        "predicted_at": ("timestamptz", "p.at"),
        "tenant": ("text", "l.tenant"),
    },
    key=("request_id", "predicted_at", "number"),
    day="predicted_at",
    added=("tenant",),
)  # fmt: skip
TABLES = (PREDICTIONS, OUTCOMES, CHANGES)
"""In the order in which they are shipped: what a row refers to is there before it."""
