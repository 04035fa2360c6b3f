"""What several test files use."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.unit import postgres
from workloads.booking_api import facts

FACTS = "facts"
"""A database that has the facts, from which others are copied."""


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Server]:
    """A real server, for all tests that need one."""
    with postgres.running() as server:
        yield server


@pytest.fixture(scope="session")
def facts_loaded(postgresql: postgres.Server) -> dict[str, object]:
    """What the loading of the facts said; the database is FACTS."""
    with psycopg.connect(postgresql.create(FACTS)) as connection:
        return facts.load(connection)
