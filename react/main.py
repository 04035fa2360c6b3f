"""The process of the pod: read the policy, bring the trail's schema up to date, judge and act until SIGTERM.

A process that ends loses nothing: what is open in the trail is gone on with by the next one.
"""

import argparse
import os
import signal
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import uvicorn

from client.inside import Inside
from react import act, metrics, policy, trail
from react.api import application
from react.controller import Controller
from workloads import common
from workloads.common import WorkloadError, log
from workloads.react.config import React
from workloads.settings import changed


def now() -> datetime:
    return datetime.now(UTC)


def prepare(url: str, schema: str, patience: float) -> None:
    """Bring the schema up to date; a database that does not answer yet is waited for.

    Raises:
        WorkloadError: it did not answer within `patience` seconds.
    """
    until = time.monotonic() + patience
    while True:
        try:
            trail.migrate(url, schema)
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > until:
                raise WorkloadError(f"the database did not answer within {patience:g} s: {error}") from error
            log("waiting for the database", cause=f"'{str(error).strip()}'")
        time.sleep(1)


def react(settings: React, file: Path) -> dict[str, Any]:
    """Judge, act and answer until SIGTERM."""
    # As the first process of a container this one has no handler unless it says so; uvicorn takes over from
    # this one while it serves, and raises the signal again when it has ended.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    chosen = policy.parse(file.read_text(), str(file))
    url, token = common.env("BOOKINGS_DATABASE"), common.env("REACT_TOKEN")
    prepare(url, settings.schema, settings.start_seconds)
    metrics.begin()
    with trail.Trail(url, now, name=settings.schema) as kept:
        platform = Inside.of_this_pod()
        acts = act.acts(
            platform, chosen.training, common.env("TRAINING_IMAGE"), os.environ.get("PAGE_URL", ""), kept.left
        )
        controller = Controller(chosen, kept, acts, now)
        # Its actions are threads that end with the process: what they have begun is in the trail.
        threading.Thread(target=controller.run, args=(settings.every,), daemon=True).start()
        log("reacting", port=settings.port, rules=len(chosen.rules))
        uvicorn.run(
            application(kept, token, controller.woken.set, controller.alive),
            host="0.0.0.0",
            port=settings.port,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=3,
        )
    return {"ended": "on request"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--policy", type=Path, default=Path("/etc/react/policy.yaml"))
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="Another value of a setting"
    )
    given = parser.parse_args()
    common.run(lambda: react(changed(React(), given.set), given.policy))


if __name__ == "__main__":
    main()
