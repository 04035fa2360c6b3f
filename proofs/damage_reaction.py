"""What faults do to the trail of the reaction, and to what it acts upon."""

from typing import Any

from client import Platform
from client.rollout_record import CANARY, record_of
from client.traffic import ROLLOUT, Route
from proofs import rollouts
from proofs.damage import again
from proofs.damage_models import lost_object, predictions_of
from proofs.damage_rollouts import meddling
from proofs.reaction import SCHEMA

OLDER = f"""
UPDATE {SCHEMA}.reactions
SET decided_at = decided_at - interval '1 day', finished_at = finished_at - interval '1 day'
WHERE action = 'rollback' AND finished_at > now() - interval '1 day'
"""
CLOSED = f"""
UPDATE {SCHEMA}.reactions SET finished_at = now(), result = 'done'
WHERE action = 'rollback' AND finished_at IS NULL AND decided_at < now() - interval '3 seconds'
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
    return _stated(platform, CLOSED)


def lost_scores(platform: Platform) -> Any:
    """What the served version foretold of its test is gone: nothing can be compared with it."""
    version = rollouts.registered(platform, rollouts.LITTLE)
    mlflow = platform.mlflow()
    run = mlflow.get_run(mlflow.get_model_version(rollouts.NAME, version).run_id)
    return lost_object(platform, predictions_of(run))


def forgotten_canary(platform: Platform) -> Any:
    """What a rollout has done is taken off its route once it has ended."""

    def ended(route: Route) -> bool:
        record = record_of(route)
        return record is not None and record.ended == CANARY

    return meddling(platform, ended, lambda route: route.noted(ROLLOUT, None))
