"""The process of a pod of the booking service: how it starts, refuses to, and ends."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.unit import model_server, postgres
from tests.unit.booking_service import QUESTION
from tests.unit.conftest import FACTS
from tests.unit.model_server import ModelServer

ROOT = Path(__file__).parents[2]


@contextmanager
def started(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """The process, which is killed if it is still there at the end."""
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    process = subprocess.Popen(
        [sys.executable, "-m", "workloads.booking_api.main", *arguments],
        cwd=ROOT, env=inherited | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, f"waited for {what}"
        time.sleep(0.05)


@pytest.fixture
def model() -> Iterator[ModelServer]:
    with model_server.running() as found:
        yield found


@pytest.fixture
def surroundings(
    postgresql: postgres.Server, facts_loaded: dict[str, object], model: ModelServer
) -> dict[str, str]:
    with psycopg.connect(postgresql.url(FACTS), autocommit=True) as connection:
        connection.execute("TRUNCATE predictions CASCADE")
    return {
        "BOOKINGS_DATABASE": postgresql.url(FACTS),
        "MODEL": "delay",
        "MODEL_URL": model.url,
        "MODEL_HOST": "delay.platform.test",
        "GATEWAY_CREDENTIAL": "vouched",
    }


@contextmanager
def serving(surroundings: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process once it is ready, and its address."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    with started("--set", f"port={port}", "--set", "model_seconds=30", **surroundings) as process:

        def ready() -> bool:
            assert process.poll() is None, process.communicate()
            try:
                return httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
            except httpx.TransportError:
                return False

        until(ready, "the service to be ready")
        yield process, f"http://127.0.0.1:{port}"


def listens(address: str) -> bool:
    try:
        return httpx.get(f"{address}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False


def ask(address: str, request_id: str) -> httpx.Response:
    headers = {"x-request-id": request_id}
    return httpx.post(f"{address}/v1/quotes", json=QUESTION, headers=headers, trust_env=False, timeout=60)


def logged(surroundings: dict[str, str]) -> list[str]:
    with psycopg.connect(surroundings["BOOKINGS_DATABASE"]) as connection:
        return [row[0] for row in connection.execute("SELECT request_id FROM predictions").fetchall()]


def test_what_is_being_answered_when_the_pod_ends_is_answered_to_the_end(
    surroundings: dict[str, str], model: ModelServer
) -> None:
    with serving(surroundings) as (process, address):

        def answer_when_it_listens_no_more() -> bytes:
            until(lambda: not listens(address), "the listener to be closed")
            return ModelServer.answer(model)

        model.answer = answer_when_it_listens_no_more  # type: ignore[method-assign]
        answers: list[httpx.Response] = []
        asking = threading.Thread(target=lambda: answers.append(ask(address, "r-1")))
        asking.start()
        until(lambda: len(model.asked) == 1, "the model to be asked")
        process.send_signal(signal.SIGTERM)
        asking.join(90)
        assert [answer.status_code for answer in answers] == [200]
        assert process.wait(60) == 0
    assert logged(surroundings) == ["r-1"]


def test_a_killed_process_has_logged_what_it_answered(surroundings: dict[str, str]) -> None:
    with serving(surroundings) as (process, address):
        ids = [f"r-{number}" for number in range(5)]
        for request_id in ids:
            assert ask(address, request_id).status_code == 200
        process.kill()
        process.wait(60)
    assert sorted(logged(surroundings)) == ids


def test_a_bad_experiment_ends_the_start_with_the_cause_and_the_code_of_what_is_hopeless(
    surroundings: dict[str, str],
) -> None:
    bad = '{"name": "x", "arms": {"a": 0.5, "b": 0.6}}'
    with started(**surroundings, EXPERIMENT=bad) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "EXPERIMENT is not an experiment (arms: the shares must add up to 1, they add up to 1.1)" in said


def test_a_missing_variable_is_named(surroundings: dict[str, str]) -> None:
    del surroundings["MODEL_HOST"]
    with started(**surroundings) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "environment variable MODEL_HOST is not set" in said


def test_a_database_that_is_away_is_waited_for_and_then_named(
    surroundings: dict[str, str], postgresql: postgres.Server
) -> None:
    surroundings["BOOKINGS_DATABASE"] = postgresql.url("no_such_database")
    with started("--set", "start_seconds=0.5", **surroundings) as process:
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "waiting for the database" in said
    assert "the database did not answer within 0.5 s" in said


def test_a_pod_that_waits_for_its_database_ends_when_it_is_told_to(
    surroundings: dict[str, str], postgresql: postgres.Server
) -> None:
    surroundings["BOOKINGS_DATABASE"] = postgresql.url("no_such_database")
    with started(**surroundings) as process:
        assert process.stdout is not None
        assert "waiting for the database" in process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
