"""What several test files use."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from react import trail as trails
from tests.unit import booking_service, model_server, postgres
from tests.unit.booking_service import Under
from tests.unit.model_server import ModelServer
from tests.unit.reaction import Clock
from workloads.booking_api import facts
from workloads.booking_api.model import Place

Start = Callable[..., Under]

FACTS = "facts"
"""A database that has the facts, from which others are copied."""


@pytest.fixture(autouse=True)
def an_event_loop() -> None:
    """Pulumi takes the thread's for granted, and `asyncio.run` of a test before leaves none."""
    try:
        asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        asyncio.set_event_loop(asyncio.new_event_loop())


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


@pytest.fixture
def start(postgresql: postgres.Server, facts_loaded: dict[str, object]) -> Iterator[Start]:
    """Starts booking services, with an empty log unless they are given another database."""
    with psycopg.connect(postgresql.url(FACTS), autocommit=True) as connection:
        connection.execute("TRUNCATE predictions CASCADE")
    with ExitStack() as stack:

        def starts(
            divided: Any = None,
            url: str = "",
            model: ModelServer | None = None,
            authority: str = "",
            credential: str = "",
            **changes: Any,
        ) -> Under:
            url = url or postgresql.url(FACTS)
            model = model or stack.enter_context(model_server.running())
            place = Place("delay", model.url, booking_service.HOST, "the-key", authority)
            return stack.enter_context(
                booking_service.serving(postgresql, url, model, place, divided, changes, credential)
            )

        yield starts


@pytest.fixture
def clock() -> Clock:
    """Of the reaction's trail."""
    return Clock()


@pytest.fixture
def trail_url(postgresql: postgres.Server) -> str:
    """A new database."""
    return postgresql.create(f"trail-{uuid4().hex[:12]}")


@pytest.fixture
def trail(trail_url: str, clock: Clock) -> Iterator[trails.Trail]:
    """An empty trail of reactions."""
    trails.migrate(trail_url)
    with trails.Trail(trail_url, clock) as made:
        yield made
