"""A lock among workers that share a PostgreSQL database; it goes with its holder.

It is a session's advisory lock: when the holder is killed, its connection ends and PostgreSQL frees the lock.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from workloads.common import WorkloadError, digest

PATIENCE = 120
"""Seconds to wait for the lock. It is held for some milliseconds."""
OPTIONS = {
    "lock_timeout": f"{PATIENCE}s",
    # A holder whose machine is gone cannot say so: the server asks, and frees the lock after 20 seconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
}


class Lock:
    """`with lock.held():` one worker at a time; `with lock.attempt() as mine:` does not wait."""

    def __init__(self, url: str, name: str) -> None:
        self.url = url.replace("+psycopg", "", 1)
        self.name = name
        self.key = int.from_bytes(bytes.fromhex(digest(name.encode()))[:8], "big", signed=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Wait for the lock and hold it.

        Raises:
            WorkloadError: another worker holds it for longer than `PATIENCE`.
        """
        import psycopg

        with self._session() as session:
            try:
                session.execute("SELECT pg_advisory_lock(%s)", [self.key])
            except psycopg.errors.LockNotAvailable as error:
                raise WorkloadError(
                    f"the lock of {self.name} was not free for {PATIENCE} s; see who holds it: "
                    f"SELECT * FROM pg_locks WHERE locktype = 'advisory'"
                ) from error
            yield

    @contextmanager
    def attempt(self) -> Iterator[bool]:
        """Hold the lock if nobody else does; says whether."""
        with self._session() as session:
            (mine,) = session.execute("SELECT pg_try_advisory_lock(%s)", [self.key]).fetchone()
            yield mine

    @contextmanager
    def _session(self) -> Iterator[Any]:
        """A connection of its own, whose end frees what it holds."""
        import psycopg

        options = " ".join(f"-c {name}={value}" for name, value in OPTIONS.items())
        session = psycopg.connect(self.url, autocommit=True, connect_timeout=20, options=options)
        try:
            yield session
        finally:
            session.close()
