"""Watch whether new months of flights, and a model's predictions on them, are still like the training months.

Looks once (`--once`), or every few seconds until told to end, with its verdicts as Prometheus metrics. Each
look that finds a changed table writes its verdicts to the lake and, for people, a page to MLflow. When the
lake does not answer it says so, keeps what it showed, and shows since when.
"""

import argparse
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any

from workloads import common
from workloads.common import HopelessError, WorkloadError, log
from workloads.settings import changed
from workloads.watch_drift import config, table
from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.flights import Lake
from workloads.watch_drift.page import page
from workloads.watch_drift.predictions import Given, Model
from workloads.watch_drift.watch import Look, Store, Watch


def begin(settings: WatchDrift) -> Watch:
    """The watch, with its reference."""
    store = Store(common.s3(), common.env("S3_BUCKET"), settings.name)
    given = Given(settings) if settings.predictions else None
    model = Model(settings) if settings.model else given
    return Watch(settings, Lake(common.trino(), settings), store, model)


def keep(watch: Watch, look: Look) -> str:
    """Write the verdicts down; returns the name of their table."""
    at = datetime.now(UTC)
    place = table.write(watch.lake.trino, watch.settings, look, watch.reference.sha256, at)
    for verdict in look.verdicts:
        if verdict.changed:
            log(
                "changed", window=verdict.window, what=f"{verdict.subject}/{verdict.about}", says=verdict.says
            )
    if watch.settings.report and look.rows[look.current]:
        tell_people(watch, look)
    return place


def tell_people(watch: Watch, look: Look) -> None:
    """A page in MLflow on the current window. That it could not be made is told, and is no reason to stop."""
    settings = watch.settings
    try:
        before, now = watch.lake.read(settings.last_reference, watch.states), watch.read(look.current)
        html = page(watch.columns(before), watch.columns(now))
        if html is None:
            return
        mlflow = common.mlflow()
        mlflow.set_experiment(settings.experiment)
        with mlflow.start_run(run_name=f"{settings.name}-{look.current}"):
            mlflow.set_tags({"window": look.current, "snapshot_id": look.snapshot,
                             "reference_sha256": watch.reference.sha256})  # fmt: skip
            mlflow.log_metric("changed", sum(each.changed for each in look.of_current()))
            mlflow.log_text(html, "drift.html")
    except Exception as error:
        log("no page for people", cause=f"{type(error).__name__}: {error}")


def summary(watch: Watch, look: Look, place: str) -> dict[str, Any]:
    """What the termination message says."""
    found: dict[str, list[str]] = {}
    for verdict in look.verdicts:
        if verdict.changed:
            found.setdefault(verdict.window, []).append(f"{verdict.subject}/{verdict.about}")
    return {
        "watch": watch.settings.name,
        "table": place,
        "snapshot_id": look.snapshot,
        "window": look.current,
        "reference_sha256": watch.reference.sha256,
        "changed": found,
    }


def once(settings: WatchDrift) -> dict[str, Any]:
    """One look."""
    watch = begin(settings)
    look = watch.look()
    return summary(watch, look, keep(watch, look))


class Feed:
    """Since when no new flights came."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds, self.clock = seconds, clock
        self.rows, self.since = -1, clock()

    def starves(self, rows: int) -> bool:
        """Whether twice the seconds went by; `rows` are those of now."""
        if rows != self.rows:
            self.rows, self.since = rows, self.clock()
        return self.seconds > 0 and self.clock() - self.since > 2 * self.seconds


def serve(settings: WatchDrift) -> dict[str, Any]:
    """Look until told to end."""
    from prometheus_client import start_http_server

    from workloads.watch_drift.metrics import Metrics

    leaving, told, place = Event(), "", ""
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    metrics, feed = Metrics(settings), Feed(settings.feed_seconds)
    start_http_server(settings.port)
    watch: Watch | None = None
    kept: Look | None = None
    while True:
        try:
            watch = watch or begin(settings)
            look = watch.look()
            if look is not kept:
                place, kept = keep(watch, look), look
            metrics.show(look, feed.starves(sum(look.rows.values())))
            said = f"window {look.current}: {sum(each.changed for each in look.of_current())} changed"
        except HopelessError:
            raise
        except WorkloadError as error:
            said = f"cannot look: {next(iter(str(error).splitlines()), '')}"
        if said != told:
            log(said, watch=settings.name)
            told = said
        if leaving.wait(settings.every):
            return summary(watch, kept, place) if watch and kept else {"watch": settings.name, "last": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--once", action="store_true", help="Look once, and end.")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="Another value of a setting"
    )
    given = parser.parse_args()
    settings = changed(getattr(config, given.config)(), given.set)
    common.run(lambda: once(settings) if given.once else serve(settings))


if __name__ == "__main__":
    main()
