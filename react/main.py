"""The process of the pod: read the policy, bring the trail's schema up to date, judge and act until SIGTERM.

A process that ends loses nothing: what is open in the trail is gone on with by the next one.
"""

import argparse
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from client.inside import Inside
from react import act, metrics, policy, trail
from react.api import application
from react.controller import Controller
from workloads import common, waiting, web
from workloads.common import log
from workloads.react.config import React
from workloads.settings import changed


def now() -> datetime:
    return datetime.now(UTC)


def react(settings: React, file: Path) -> dict[str, Any]:
    """Judge, act and answer until SIGTERM."""
    web.end_on_request()
    chosen = policy.parse(file.read_text(), str(file))
    url, token = common.env("BOOKINGS_DATABASE"), common.env("REACT_TOKEN")
    waiting.once_answered(lambda: trail.migrate(url, settings.schema), settings.start_seconds)
    metrics.begin()
    with trail.Trail(url, now, name=settings.schema) as kept:
        platform = Inside.of_this_pod()
        acts = act.acts(
            platform, chosen.training, common.env("TRAINING_IMAGE"), os.environ.get("PAGE_URL", ""), kept
        )
        controller = Controller(chosen, kept, acts, now)
        # Its actions are threads that end with the process: what they have begun is in the trail.
        threading.Thread(target=controller.run, args=(settings.every,), daemon=True).start()
        log("reacting", port=settings.port, rules=len(chosen.rules))
        web.serve(application(kept, token, controller.woken.set, controller.alive), settings.port)
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
