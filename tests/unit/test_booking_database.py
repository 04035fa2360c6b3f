"""The booking service's schema and facts, in a real PostgreSQL, from the real data."""

import threading
from pathlib import Path

import psycopg
import pytest

from tests.unit import postgres
from tests.unit.conftest import FACTS
from workloads.booking_api import facts, schema
from workloads.common import HopelessError

MIGRATIONS = [
    "0001_facts.sql",
    "0002_log.sql",
    "0003_tenant.sql",
    "0004_experiments.sql",
    "0005_corrections.sql",
    "0006_shipping.sql",
    "0007_tellers.sql",
]


def connect(url: str) -> psycopg.Connection:
    return psycopg.connect(url, autocommit=True)


def test_the_schema_is_made_once(postgresql: postgres.Server) -> None:
    with connect(postgresql.create("once")) as connection:
        assert schema.migrate(connection) == MIGRATIONS
        assert schema.migrate(connection) == []
        assert connection.execute("SELECT count(*) FROM predictions").fetchone() == (0,)


def test_pods_that_start_at_once_take_turns(postgresql: postgres.Server) -> None:
    url = postgresql.create("turns")
    together, done = threading.Barrier(6), []

    def start() -> None:
        with connect(url) as connection:
            together.wait(60)
            done.append(schema.migrate(connection))

    pods = [threading.Thread(target=start) for _ in range(6)]
    for pod in pods:
        pod.start()
    for pod in pods:
        pod.join(120)
    assert sorted(done) == [[], [], [], [], [], MIGRATIONS]


def test_a_migration_that_was_changed_later_is_refused(postgresql: postgres.Server, tmp_path: Path) -> None:
    file = tmp_path / "0001_x.sql"
    file.write_text("CREATE TABLE x (a int)")
    with connect(postgresql.create("changed")) as connection:
        schema.migrate(connection, tmp_path)
        file.write_text("CREATE TABLE x (a text)")
        with pytest.raises(HopelessError, match=r"migration 0001_x.sql was applied with the SHA-256 \w+ and"):
            schema.migrate(connection, tmp_path)


def test_a_migration_that_fails_leaves_nothing_of_any(postgresql: postgres.Server, tmp_path: Path) -> None:
    (tmp_path / "0001_x.sql").write_text("CREATE TABLE x (a int)")
    (tmp_path / "0002_y.sql").write_text("CREATE TABLE y (a int); SELECT no_such_function()")
    with connect(postgresql.create("failing")) as connection:
        with pytest.raises(psycopg.errors.UndefinedFunction):
            schema.migrate(connection, tmp_path)
        there = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
        assert there == (0,)


def test_a_database_that_is_ahead_of_the_code_is_left_alone(postgresql: postgres.Server) -> None:
    with connect(postgresql.create("ahead")) as connection:
        schema.migrate(connection)
        connection.execute("INSERT INTO schema_migrations VALUES ('9999_later.sql', 'x')")
        assert schema.migrate(connection) == []


def test_the_facts_are_those_of_the_source(facts_loaded: dict[str, object]) -> None:
    assert facts_loaded["action"] == "loaded"
    assert facts_loaded["rows"] == {
        "airlines": 16, "airports": 1458, "routes": 439, "weather": 26_115, "climate": 864,
    }  # fmt: skip


def test_the_same_facts_are_not_loaded_twice(
    postgresql: postgres.Server, facts_loaded: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.create("again", FACTS)
    with psycopg.connect(url) as connection:
        assert facts.load(connection)["action"] == "unchanged"
    monkeypatch.setattr(facts, "content_hash", lambda table, content: table.name)
    with psycopg.connect(url) as connection:
        again = facts.load(connection)
    assert again["action"] == "loaded"
    assert again["rows"] == facts_loaded["rows"]


def test_a_file_with_other_columns_leaves_the_facts_as_they_were(
    postgresql: postgres.Server, facts_loaded: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgresql.create("other_columns", FACTS)
    monkeypatch.setattr(facts, "read_source", lambda _: b"a,b\n1,2\n")
    with psycopg.connect(url) as connection, pytest.raises(Exception, match="has the columns"):
        facts.load(connection)
    with connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM routes").fetchone() == (439,)
