"""The verdicts of a look in the lake: one table a watch, replaced whole by each look; earlier looks are its
snapshots.
"""

import json
from datetime import datetime
from typing import Any

from workloads import common
from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.watch import Look

SCHEMA = "drift"
COLUMNS = {
    "at": "timestamp(6) with time zone",
    "window": "varchar",
    "kind": "varchar",
    "subject": "varchar",
    "about": "varchar",
    "changed": "boolean",
    "says": "varchar",
    "p": "double",
    "effects": "varchar",
    "limits": "varchar",
    "reference_sha256": "varchar",
    "snapshot_id": "varchar",
}
"""`effects` and `limits` are JSON objects."""


def write(trino: Any, settings: WatchDrift, look: Look, reference: str, at: datetime) -> str:
    """Replace the table; returns its name. The one statement may be repeated."""
    place = f"{settings.catalog}.{SCHEMA}"
    common.query(trino, f"CREATE SCHEMA IF NOT EXISTS {place}")
    table = f"{place}.{settings.name}"
    common.query(trino, replace_sql(table, look, reference, at))
    return table


def replace_sql(table: str, look: Look, reference: str, at: datetime) -> str:
    """The statement that makes or replaces it."""
    rows = [
        (
            f"{at:%Y-%m-%d %H:%M:%S.%f} UTC", each.window, each.kind, each.subject, each.about,
            str(each.changed).lower(), each.says, repr(each.p), json.dumps(each.effects),
            json.dumps(each.limits), reference, look.snapshot,
        )
        for each in look.verdicts
    ]  # fmt: skip
    values = ", ".join(f"({', '.join(quoted(value) for value in row)})" for row in rows)
    casts = ", ".join(f'CAST("{name}" AS {kind}) AS "{name}"' for name, kind in COLUMNS.items())
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    return f"CREATE OR REPLACE TABLE {table} AS SELECT {casts} FROM (VALUES {values}) AS found ({names})"


def quoted(text: str) -> str:
    """As a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
