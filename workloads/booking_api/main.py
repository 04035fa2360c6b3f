"""The process of a pod: read the configuration, bring the database's schema up to date, serve until SIGTERM.

A pod that ends drops nothing: Kubernetes takes it out of the Service first (preStop), then SIGTERM closes the
listener, and what is being answered is answered to the end.
"""

import argparse
import os
from typing import Any

import psycopg

from workloads import common, waiting, web
from workloads.booking_api import config, experiment, schema
from workloads.booking_api.api import Service, application
from workloads.booking_api.config import BookingApi
from workloads.booking_api.database import Database
from workloads.booking_api.model import Model, Place
from workloads.common import log
from workloads.settings import changed

KEEP_ALIVE = 3700
"""Seconds for which an idle connection is kept: longer than the Gateway's proxies keep theirs (an hour), so
that none is closed just when a request is sent on it."""
LAST_ANSWERS = 20
"""Seconds that requests have to end in when the pod ends."""


def service(settings: BookingApi) -> Service:
    """The service, as the environment describes its surroundings.

    Raises:
        HopelessError: the experiment is not one.
        WorkloadError: a variable is missing.
    """
    divided = experiment.parse(os.environ.get("EXPERIMENT", ""))
    place = Place(
        model=common.env("MODEL"),
        url=common.env("MODEL_URL"),
        host=common.env("MODEL_HOST"),
        key=os.environ.get("GATEWAY_API_KEY", ""),
        authority=os.environ.get("GATEWAY_CA", ""),
    )
    url = common.env("BOOKINGS_DATABASE")
    return Service(
        settings,
        divided,
        Database(url, settings.connections, settings.database_seconds),
        Model(place, settings.model_seconds),
        credential=common.env("GATEWAY_CREDENTIAL"),
    )


def migrate(url: str) -> None:
    """Bring the database's schema up to date."""
    with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
        schema.migrate(connection)


def serve(settings: BookingApi) -> dict[str, Any]:
    """Serve until SIGTERM."""
    web.end_on_request()
    made = service(settings)
    url = common.env("BOOKINGS_DATABASE")
    waiting.once_answered(lambda: migrate(url), settings.start_seconds)
    divided = made.experiment
    log("serving", port=settings.port, model=made.model.name, experiment=divided.name if divided else "none")
    web.serve(application(made), settings.port, keep_alive=KEEP_ALIVE, last_answers=LAST_ANSWERS)
    return {"ended": "on request"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="Another value of a setting"
    )
    given = parser.parse_args()
    common.run(lambda: serve(changed(getattr(config, given.config)(), given.set)))


if __name__ == "__main__":
    main()
