"""What was received, in one file: whatever it is that fails, its alert must be kept without it."""

import json
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path

from workloads.receive_alerts.schemas import Alert, Kept

FILE = "alerts.sqlite"
SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    fingerprint TEXT NOT NULL,
    starts_at TEXT NOT NULL,
    status TEXT NOT NULL,
    alertname TEXT NOT NULL,
    received REAL NOT NULL, -- first, in seconds since 1970
    times INTEGER NOT NULL DEFAULT 1,
    ends_at TEXT,
    labels TEXT NOT NULL,
    annotations TEXT NOT NULL,
    UNIQUE (fingerprint, starts_at, status)
);
CREATE INDEX IF NOT EXISTS alerts_by_time ON alerts (received);
CREATE TABLE IF NOT EXISTS heartbeat (single INTEGER PRIMARY KEY CHECK (single = 1), last REAL NOT NULL);
"""
KEEP = """
INSERT INTO alerts (fingerprint, starts_at, status, alertname, received, ends_at, labels, annotations)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (fingerprint, starts_at, status) DO UPDATE SET times = times + 1
"""
BEAT = "INSERT INTO heartbeat VALUES (1, ?) ON CONFLICT (single) DO UPDATE SET last = excluded.last"
COLUMNS = "alertname, status, received, times, starts_at, ends_at, fingerprint, labels, annotations"


class Store:
    """The alerts; an entry for each time that one fired, and for each that it was resolved.

    Raises:
        sqlite3.Error: the file cannot be written; what was answered before is kept.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self.keep_most = keep
        self.lock = threading.Lock()
        self.file = sqlite3.connect(folder / FILE, check_same_thread=False, timeout=10)
        # Each commit is on the disk before it is answered.
        self.file.execute("PRAGMA synchronous = FULL")
        with self.file:
            self.file.executescript(SCHEMA)

    def keep(self, alerts: Sequence[Alert], now: float) -> None:
        """All or none; one that was received before is counted."""
        rows = [
            (
                alert.fingerprint, alert.startsAt.isoformat(), alert.status, alert.name, now,
                alert.endsAt.isoformat() if alert.status == "resolved" else None,
                json.dumps(alert.labels), json.dumps(alert.annotations),
            )
            for alert in alerts
        ]  # fmt: skip
        with self.lock, self.file:
            self.file.executemany(KEEP, rows)
            self.file.execute(
                "DELETE FROM alerts WHERE number <= (SELECT max(number) FROM alerts) - ?", (self.keep_most,)
            )

    def find(self, since: float, alertname: str | None, status: str | None, most: int) -> list[Kept]:
        """Those received from `since` (seconds since 1970) on, newest first."""
        wanted = {"alertname": alertname, "status": status}
        chosen = {column: value for column, value in wanted.items() if value is not None}
        where = " AND ".join(["received >= ?", *(f"{column} = ?" for column in chosen)])
        with self.lock:
            rows = self.file.execute(
                f"SELECT {COLUMNS} FROM alerts WHERE {where} ORDER BY received DESC, number DESC LIMIT ?",
                (since, *chosen.values(), most),
            ).fetchall()
        names = COLUMNS.split(", ")
        return [kept(dict(zip(names, row, strict=True))) for row in rows]

    def beat(self, now: float) -> None:
        """The heartbeat arrived."""
        with self.lock, self.file:
            self.file.execute(BEAT, (now,))

    def last_beat(self) -> float | None:
        """When it arrived last, in seconds since 1970."""
        with self.lock:
            row = self.file.execute("SELECT last FROM heartbeat").fetchone()
        return row[0] if row else None

    def close(self) -> None:
        with self.lock:
            self.file.close()


def kept(row: dict[str, str]) -> Kept:
    texts = {name: json.loads(row[name]) for name in ("labels", "annotations")}
    return Kept.model_validate({**row, **texts})
