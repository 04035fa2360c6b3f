"""Brings the database's schema up to date: the files of migrations/, each once, in order of their names.

All of it is one transaction behind an advisory lock: two pods that start at once take turns, and the second
finds everything done. A file that was applied is never changed; the next change of the schema is another
file, such that pods of the version before still work with it. A database that is ahead of this code is fine
for the same reason: that is how a rollout is taken back.
"""

from pathlib import Path
from typing import Any

from workloads import common
from workloads.common import HopelessError, log

FOLDER = Path(__file__).with_name("migrations")
LOCK = 7_413_2014
"""PostgreSQL advisory lock, of whoever changes the schema or loads the facts."""
TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY,
    sha256 text NOT NULL,
    at timestamptz NOT NULL DEFAULT now()
)
"""


def migrate(connection: Any, folder: Path = FOLDER) -> list[str]:
    """Apply what is missing; returns the names of the files that were applied now.

    Raises:
        HopelessError: a file was changed after it was applied.
    """
    applied = []
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
        connection.execute(TABLE)
        there = dict(connection.execute("SELECT name, sha256 FROM schema_migrations").fetchall())
        for path in sorted(folder.glob("*.sql")):
            content = path.read_bytes()
            sha256 = common.digest(content)
            if path.name not in there:
                connection.execute(content)
                connection.execute(
                    "INSERT INTO schema_migrations (name, sha256) VALUES (%s, %s)", [path.name, sha256]
                )
                applied.append(path.name)
            elif there[path.name] != sha256:
                raise HopelessError(
                    f"migration {path.name} was applied with the SHA-256 {there[path.name]} and is now "
                    f"{sha256}; leave it as it was and write another file"
                )
    log("schema", applied=",".join(applied) or "nothing")
    return applied
