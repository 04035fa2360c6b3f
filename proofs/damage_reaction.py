"""What faults do to the trail of the reaction, and to what it acts upon."""

from collections.abc import Callable
from typing import Any

from client import Platform
from client.rollout_record import CANARY, record_of
from client.traffic import ROLLOUT, Route
from proofs.damage import again
from proofs.damage_models import opposite, place_of, predictions_of
from proofs.damage_rollouts import meddling
from proofs.reaction import SCHEMA
from workloads.train_delay import config as training
from workloads.train_delay.metrics import PREDICTIONS_AGAINST

OLDER = f"""
UPDATE {SCHEMA}.reactions
SET decided_at = decided_at - interval '1 day', finished_at = finished_at - interval '1 day'
WHERE action = 'rollback' AND finished_at > now() - interval '1 day'
"""
CLOSED = f"""
UPDATE {SCHEMA}.reactions SET finished_at = now(), result = 'done'
WHERE action = '{{action}}' AND finished_at IS NULL AND decided_at < now() - interval '3 seconds'
"""


def _stated(platform: Platform, statement: str) -> Any:
    """Run a statement meanwhile, on a table that others may have locked."""

    def act() -> None:
        with platform.bookings() as database:
            database.execute("SET lock_timeout = '1s'")
            database.execute(statement)

    return again(act)


def short_memory(platform: Platform) -> Any:
    """What was rolled back counts as long ago."""
    return _stated(platform, OLDER)


def lost_intents(platform: Platform) -> Any:
    """What was decided counts as done."""
    return _stated(platform, CLOSED.format(action="rollback"))


def lost_pages(platform: Platform) -> Any:
    """Who was to be told counts as told."""
    return _stated(platform, CLOSED.format(action="page"))


def lost_scores(platform: Platform) -> Any:
    """What the served version foretold of a retraining's test is gone: nothing can be compared with it."""
    return _scored(platform, lambda store, at, _: store.delete_object(**at))


def falsified_scores(platform: Platform) -> Any:
    """The served version is said to have foretold the opposite of what it did."""

    def falsify(store: Any, at: dict[str, str], content: bytes) -> None:
        store.put_object(**at, Body=opposite(content))

    return _scored(platform, falsify)


def _scored(platform: Platform, change: Callable[[Any, dict[str, str], bytes], object]) -> Any:
    """Change, once for each run that is there from now on, what a retraining's test says of the served
    version. It is kept seconds before the run ends: its version is registered in between.
    """
    mlflow, store = platform.mlflow(), platform.s3()
    experiment = mlflow.get_experiment_by_name(training.reference().experiment).experiment_id
    query = "attributes.status = 'RUNNING' AND tags.training LIKE 'react-%'"
    done: set[str] = set()

    def act() -> None:
        for run in mlflow.search_runs([experiment], query):
            at = place_of(predictions_of(run, PREDICTIONS_AGAINST))
            if run.info.run_id not in done:
                change(store, at, store.get_object(**at)["Body"].read())
                done.add(run.info.run_id)

    return again(act, 0.2)


def forgotten_canary(platform: Platform) -> Any:
    """What a rollout has done is taken off its route once it has ended."""

    def ended(route: Route) -> bool:
        record = record_of(route)
        return record is not None and record.ended == CANARY

    return meddling(platform, ended, lambda route: route.noted(ROLLOUT, None))
