"""Ship the log of predictions into the lake, and tell how good the versions of models are.

Every minute it moves what is new in PostgreSQL (predictions, outcomes, corrections) into Iceberg tables,
through staging tables and Trino, each row once (shipping.py says how), and reads the figures of each version
over the last days (quality.py), which Prometheus reads from here. It runs until it is told to end.
"""

import argparse
import signal
import time
from threading import Event
from typing import Any

from prometheus_client import REGISTRY

from workloads import common
from workloads.common import HopelessError, WorkloadError, log
from workloads.settings import changed
from workloads.ship_predictions import config, quality, retention, telemetry
from workloads.ship_predictions.config import ShipPredictions
from workloads.ship_predictions.registry import Registry
from workloads.ship_predictions.shipping import Shipper, connections, tidy
from workloads.ship_predictions.telemetry import Telemetry


class Looks:
    """What is done again and again, and what of it was done."""

    def __init__(self, settings: ShipPredictions, told: Telemetry) -> None:
        self.settings, self.told, self.registry = settings, told, Registry()
        self.shipper: Shipper | None = None
        self.tidied = time.monotonic()

    def look(self) -> str:
        """One round; what it came to, in words.

        Raises:
            WorkloadError, psycopg.Error, requests.RequestException: something that it takes is away.
        """
        shipper = self._shipper()
        with connections() as (database, staging):
            rows = shipper.round(database, staging)
            self.told.shipped(rows, shipper.lag(database))
            gone = self._forget(database)
        self._judge()
        self._tidy()
        said = [f"{count} {table}" for table, count in rows.items() if count]
        said += [f"{gone} predictions forgotten"] if gone else []
        return ", ".join(said) or "nothing new"

    def _shipper(self) -> Shipper:
        """Tables and views are made at the first look that comes so far."""
        if self.shipper is None:
            shipper = Shipper(self.settings, common.trino())
            shipper.prepare()
            quality.make_views(shipper.trino, self.settings)
            self.shipper = shipper
        return self.shipper

    def _forget(self, database: Any) -> int:
        if not self.settings.keep_days or self.shipper is None:
            return 0
        gone = retention.forget(database, self.shipper.trino, self.settings, retention.held())
        self.told.forgotten.inc(gone)
        return gone

    def _judge(self) -> None:
        assert self.shipper is not None
        figures = quality.window(self.shipper.trino, self.settings)
        versions = [(each.model, each.version) for each in figures if each.segment == quality.ALL]
        self.told.judged(figures, {of: self._registered(*of) for of in versions})

    def _registered(self, model: str, version: str) -> float | None:
        """What is not known now is asked for in the next round."""
        import requests

        try:
            return self.registry.accuracy(model, version)
        except requests.RequestException as error:
            log("the registry does not answer", model=model, version=version, error=error)
            return None

    def _tidy(self) -> None:
        """Nothing depends on it: what fails is told, and done the next time."""
        if self.shipper is None or time.monotonic() - self.tidied < self.settings.tidy_every:
            return
        self.tidied = time.monotonic()
        try:
            tidy(self.shipper.trino, self.settings)
        except WorkloadError as error:
            log("did not tidy up", error=error)


def ship(settings: ShipPredictions) -> dict[str, Any]:
    """Look until told to end."""
    import psycopg
    import requests

    leaving, last, rounds = Event(), "", 0
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    told = Telemetry(REGISTRY)
    telemetry.serve(settings.port, REGISTRY)
    looks = Looks(settings, told)
    while True:
        try:
            said = looks.look()
            rounds += 1
        except HopelessError:
            raise
        except (WorkloadError, psycopg.Error, requests.RequestException) as error:
            told.failures.inc()
            said = f"not done: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}"
        if said != last:
            log(said)
            last = said
        if leaving.wait(settings.every):
            return {"rounds": rounds, "last": said}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    arguments = parser.parse_args()
    common.run(lambda: ship(changed(getattr(config, arguments.config)(), arguments.set)))


if __name__ == "__main__":
    main()
