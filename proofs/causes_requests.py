"""Requests that fail at MLflow, Trino, the Gateway and a served model: each is asked a few times a second."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import httpx
from trino.exceptions import TrinoQueryError

from client import Platform
from proofs import probe
from proofs.damage import meanwhile
from proofs.exporter import ROUTE
from proofs.scene import Scene

EVERY = 0.5
"""Seconds between two requests."""
NOWHERE = "probe/nothing"
"""An artifact that the run does not have; MLflow calls that its own error, and answers 500."""
VIEW = "probe_causes"
QUERIES = 8
"""How many fail in Trino: more than three are told of."""
DIVIDES = f"CREATE OR REPLACE VIEW {VIEW} AS SELECT 1 / 0 AS x"
"""PostgreSQL refuses whoever reads it: to Trino that is an error of what it depends on."""
LITTLE = "SET SESSION query_max_memory_per_node = '1MB'"
MUCH = "SELECT count(DISTINCT orderkey) FROM tpch.sf1.orders"


def asking(ask: Callable[[], httpx.Response], least: int) -> AbstractContextManager[None]:
    """Ask meanwhile, a few times a second; what gets no answer is no matter.

    Raises:
        LookupError: the first answer has a status below `least`.
    """
    answer = ask()
    if answer.status_code < least:
        raise LookupError(f"{answer.request.url} answered {answer.status_code}: {answer.text[:200]}")

    def again() -> None:
        with suppress(httpx.TransportError):
            ask()

    return meanwhile(again, EVERY)


@contextmanager
def mlflow_fails(scene: Scene) -> Iterator[None]:
    """A run's artifact is asked for that is not in the object store."""
    platform, mlflow = scene.platform, scene.platform.mlflow()
    run = mlflow.create_run(probe.experiment(mlflow))
    access = platform.access
    account = (access["MLFLOW_TRACKING_USERNAME"], access["MLFLOW_TRACKING_PASSWORD"])
    place = {"path": NOWHERE, "run_id": run.info.run_id}
    address = platform.local("MLFLOW_TRACKING_URI").geturl()
    try:
        with (
            httpx.Client(base_url=address, auth=account, timeout=30, trust_env=False) as http,
            asking(lambda: http.get("/get-artifact", params=place), 500),
        ):
            yield
    finally:
        mlflow.delete_run(run.info.run_id)


@contextmanager
def route_fails(scene: Scene) -> Iterator[None]:
    """What is behind a route answers each request with 503."""
    route = scene.route
    assert route is not None
    scene.exporter.refuse(ROUTE, True)
    try:
        with asking(lambda: route.get(ROUTE), 500):
            yield
    finally:
        scene.exporter.refuse(ROUTE, False)


@contextmanager
def model_fails(scene: Scene) -> Iterator[None]:
    """The model raises an error at the flights that it is asked about."""
    model = scene.model
    assert model is not None
    with asking(lambda: model.ask(model.fails), 500):
        yield


@contextmanager
def model_refuses(scene: Scene) -> Iterator[None]:
    """It is asked without any column that it knows."""
    model = scene.model
    assert model is not None
    unfit = {"inputs": [{"name": "nobody", "shape": [1], "datatype": "FP64", "data": [1.0]}]}
    with asking(lambda: model.ask(unfit), 400):
        yield


@contextmanager
def queries_fail(scene: Scene) -> Iterator[None]:
    """PostgreSQL fails at what Trino asks of it, a few times."""
    platform = scene.platform
    with platform.postgres() as database:
        database.execute(DIVIDES)
        database.execute(f"GRANT SELECT ON {VIEW} TO PUBLIC")
    try:
        for _ in range(QUERIES):
            fail(platform, f"SELECT x FROM postgresql.public.{VIEW}", "EXTERNAL")
    finally:
        with platform.postgres() as database:
            database.execute(f"DROP VIEW IF EXISTS {VIEW}")
    yield


@contextmanager
def query_needs_too_much(scene: Scene) -> Iterator[None]:
    """A query needs more memory than it was given."""
    fail(scene.platform, MUCH, "INSUFFICIENT_RESOURCES", LITTLE)
    yield


def fail(platform: Platform, statement: str, kind: str, before: str | None = None) -> None:
    """Run a statement that ends in an error of this kind; `before` is one for its session.

    Raises:
        LookupError: it ended well.
        TrinoQueryError: it failed for another reason.
    """
    cursor: Any = platform.trino().cursor()
    if before is not None:
        cursor.execute(before)
        cursor.fetchall()
    try:
        cursor.execute(statement)
        cursor.fetchall()
    except TrinoQueryError as error:
        if error.error_type != kind:
            raise
        return
    raise LookupError(f"Trino was to fail with {kind}, and did not: {statement}")
