"""What faults do to the shipping of the log and to what is said of it: each breaks on entering, mends on
leaving.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

from kubernetes import client as k8s

from client import Platform, deployments, outputs
from proofs import booking, shipped
from proofs.damage import again
from workloads.ship_predictions import quality
from workloads.ship_predictions.quality import Figures

SETTINGS = shipped.SETTINGS
LOSE = f"""
DELETE FROM {SETTINGS.place}.predictions WHERE "request_id" IN (
    SELECT min("request_id") FROM {SETTINGS.place}.predictions WHERE "request_id" LIKE '{shipped.NAME}-%'
        AND "at" > current_timestamp - INTERVAL '1' MINUTE
    HAVING count(*) > 5
)
"""
OF = ("model", "version", "segment", "member")
TO_COME = "9000000000000000000"
POSTDATE = f"""
CREATE OR REPLACE FUNCTION postdate() RETURNS trigger LANGUAGE plpgsql
    AS $$ BEGIN NEW.xid := '{TO_COME}'; RETURN NEW; END $$;
CREATE OR REPLACE TRIGGER postdate BEFORE INSERT ON outcome_changes FOR EACH ROW EXECUTE FUNCTION postdate()
"""
"""Corrections look as if they were still to come."""
DATED = f"""
DROP FUNCTION IF EXISTS postdate CASCADE;
UPDATE outcome_changes SET xid = pg_current_xact_id() WHERE xid = '{TO_COME}'
"""


def lost_predictions(platform: Platform) -> AbstractContextManager[None]:
    """Predictions that are in the lake vanish from it, one after the other."""
    return again(lambda: platform.sql(LOSE), 1.0)


@contextmanager
def postdated_corrections(platform: Platform) -> Iterator[None]:
    """The log says of corrections that a transaction that is still to come wrote them."""
    booking.booked(platform)  # Its tables are there then.
    try:
        with platform.bookings() as database:
            database.execute(POSTDATE)
        yield
    finally:
        with platform.bookings() as database:
            database.execute(DATED)


def flattering_view(platform: Platform) -> AbstractContextManager[None]:
    """The view calls each version better than its rows do."""
    return _redefined(platform, "live_quality", flattering())


def strict_clocks(platform: Platform) -> AbstractContextManager[None]:
    """An outcome that, by the clocks, is older than its prediction is none for the view."""
    return _redefined(platform, "live_scores", f'{_honest("live_scores")} AND o."at" >= p."at"')


@contextmanager
def everybody_operates(platform: Platform) -> Iterator[None]:
    """Each tenant of the proofs is an operator of the service."""
    booking.booked(platform)
    try:
        _operated_by(platform, booking.OPERATOR, outputs.TENANT_TRIAL)
        yield
    finally:
        _operated_by(platform, booking.OPERATOR)


def _operated_by(platform: Platform, *tenants: str) -> None:
    """Other operators, once all pods have them."""
    template = booking.deployment(platform).spec.template.spec
    (main,) = [each for each in template.containers if each.name == "main"]
    command = [
        booking.operated_by(*tenants) if word.startswith(booking.operated_by()) else word
        for word in main.command
    ]
    body = {"spec": {"template": {"spec": {"containers": [{"name": "main", "command": command}]}}}}
    namespace = outputs.NAMESPACE_WORKLOADS
    k8s.AppsV1Api(platform.api).patch_namespaced_deployment(booking.NAME, namespace, body)
    deployments.follow(platform, namespace, booking.NAME, 180)


@contextmanager
def _redefined(platform: Platform, view: str, text: str) -> Iterator[None]:
    """The view has another definition, also after a shipper has made it."""

    def define(text: str) -> None:
        platform.sql(f"CREATE OR REPLACE VIEW {SETTINGS.place}.{view} AS {text}")

    with again(lambda: define(text), 1.0):
        yield
    with suppress(Exception):  # It is not there before the first shipper.
        define(_honest(view))


def _honest(view: str) -> str:
    return quality.views(SETTINGS)[view]


def flattering() -> str:
    """The definition with which accuracies are too high."""
    columns: list[Any] = ["day", *OF, *_figures()]
    better = [f'"{name}"' if name != "accuracy" else 'sqrt("accuracy") AS "accuracy"' for name in columns]
    return f"SELECT {', '.join(better)} FROM ({_honest('live_quality')}) AS figures"


def _figures() -> list[str]:
    return [name for name in Figures.__dataclass_fields__ if name not in OF]
