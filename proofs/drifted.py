"""The drift watch of the proofs' own: its flights and scores, how they are disturbed, and what it says."""

import json
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trino.exceptions import TrinoUserError

import client
import workloads
from client import Platform, outputs
from client.waiting import until
from proofs import alarms, probe
from proofs.shipped import NOT_MADE_YET
from workloads.ingest_flights import config as ingest
from workloads.train_delay.features import KEY
from workloads.watch_drift import config, table
from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.flights import FLIGHT_COLUMNS, SCORE

NAME = "probe-watch-drift"
WATCH = "probe_drift"
"""The name of the watch, and the schema of its flights."""
SERVES = "probe-drift"
"""No model is served by this name: a reaction that runs here finds nothing to train anew."""
SETTINGS = replace(
    config.reference(),
    name=WATCH, schema=WATCH, last_reference=3, first_watched=4, last_watched=6, serves=SERVES,
    predictions="predictions", every=2.0, report=False, experiment=probe.EXPERIMENT,
)  # fmt: skip
SOURCE = f"{SETTINGS.catalog}.{ingest.SCHEMA}"
PLACE = f"{SETTINGS.catalog}.{WATCH}"
FLIGHTS, PREDICTIONS = f"{PLACE}.flights", f"{PLACE}.{SETTINGS.predictions}"
VERDICTS = f"{SETTINGS.catalog}.{table.SCHEMA}.{WATCH}"
LATER = 3
"""Each watched month has the flights of the month so much earlier: from them nothing has drifted."""
LAST = SETTINGS.last_watched
CUT = (LAST - 1, LAST)
SHIFTED, MINUTES = "dep_delay", 30
RENAMED = "distance"
SCORED = "1 / (1 + exp((15 - dep_delay) / 10e0))"
"""The scores that flights have: of a model that goes by the delay at departure alone."""
STARVED = "DriftDetectorStarved"
PATIENCE = 240.0
"""Seconds within which the watch has learned and looked, and what is loaded or told is so in Prometheus."""

Change = tuple[str, str]
"""A column (or `rows`), and what about it."""


def flights_sql(condition: str) -> str:
    """One of four flights of the reference's months, again as those of the watched ones; enough to judge."""
    columns = [
        f"month + later AS {name}" if name == "month" else name for name in (*FLIGHT_COLUMNS, "time_hour")
    ]
    return (
        f"SELECT {', '.join(columns)} FROM {SOURCE}.flights "
        f"CROSS JOIN (VALUES (0), ({LATER})) AS months (later) "
        f"WHERE month <= {SETTINGS.last_reference} AND mod(flight, 4) = 0 AND {condition}"
    )


@contextmanager
def watching(platform: Platform, settings: WatchDrift = SETTINGS) -> Iterator["Look"]:
    """The watch, its flights and their scores, from which nothing has drifted; yields its first look when
    Prometheus tells it and has the alerts. Nothing is left afterwards.
    """
    remove(platform)
    try:
        platform.sql(f"CREATE SCHEMA IF NOT EXISTS {PLACE}")
        platform.sql(f"CREATE TABLE {FLIGHTS} AS {flights_sql('true')}")
        platform.sql(
            f"CREATE TABLE {PLACE}.weather AS SELECT * FROM {SOURCE}.weather "
            f"WHERE month <= {SETTINGS.last_reference}"
        )
        platform.sql(
            f"CREATE TABLE {PREDICTIONS} AS SELECT {', '.join(KEY)}, {SCORED} AS {SCORE} FROM {FLIGHTS}"
        )
        client.deploy(platform, NAME, objects(platform, settings), deadline=300)
        found = next_look(platform)
        until(lambda: loaded(platform), f"Prometheus to load the alerts of {WATCH}", PATIENCE)
        until(lambda: bool(told(platform)), f"Prometheus to show what {WATCH} found", PATIENCE)
        # While it learned it had not looked yet, which is told of.
        until(
            lambda: STARVED not in alerting(platform, time.time()),
            f"{STARVED} of {WATCH} to end",
            PATIENCE,
        )
        yield found
    finally:
        remove(platform)


def remove(platform: Platform) -> None:
    """Also what a run left that was killed."""
    client.delete_workloads(platform, NAME)
    for name in (FLIGHTS, PREDICTIONS, f"{PLACE}.weather", VERDICTS):
        platform.sql(f"DROP TABLE IF EXISTS {name}")
    platform.sql(f"DROP SCHEMA IF EXISTS {PLACE}")
    platform.s3().delete_object(Bucket=platform.access["S3_BUCKET"], Key=f"drift/{WATCH}/reference.json")


def objects(platform: Platform, settings: WatchDrift = SETTINGS) -> list[dict[str, Any]]:
    given = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    usual = config.reference()
    changes = [
        f"{name}={json.dumps(value) if isinstance(value, bool) else value}"
        for name, value in given.items()
        if value != getattr(usual, name)
    ]
    made = workloads.manifest(
        "watch_drift",
        probe.workload_image(platform),
        form="Deployment",
        name=NAME,
        arguments=[word for each in changes for word in ("--set", each)],
    )
    return [hastened(each) for each in made]


def hastened(item: dict[str, Any]) -> dict[str, Any]:
    """The same, told sooner: metrics are read as often as those of the platform. For the alerts of a proof
    nobody is called: they are of no severity.
    """
    item = deepcopy(item)
    for endpoint in item["spec"].get("podMetricsEndpoints", []):
        del endpoint["interval"]
    for group in item["spec"].get("groups", []):
        for rule in group["rules"]:
            rule["labels"]["severity"] = "none"
    return item


# --- what is done to the flights and their scores -----------------------------------------------------------


def shift(platform: Platform, minutes: int = MINUTES) -> None:
    """Flights of the last month leave so much later."""
    platform.sql(f"UPDATE {FLIGHTS} SET {SHIFTED} = {SHIFTED} + {minutes} WHERE month = {LAST}")


def empty(platform: Platform) -> None:
    """The renamed column has no value in the last month."""
    platform.sql(f"UPDATE {FLIGHTS} SET {RENAMED} = NULL WHERE month = {LAST}")


def rename(platform: Platform, before: str, after: str) -> None:
    platform.sql(f"ALTER TABLE {FLIGHTS} RENAME COLUMN {before} TO {after}")


def cut(platform: Platform) -> None:
    """The last two months lose their flights."""
    platform.sql(f"DELETE FROM {FLIGHTS} WHERE month >= {CUT[0]}")


def refill(platform: Platform) -> None:
    """They get them again."""
    names = ", ".join((*FLIGHT_COLUMNS, "time_hour"))
    platform.sql(f"INSERT INTO {FLIGHTS} ({names}) {flights_sql(f'month + later >= {CUT[0]}')}")


def due(platform: Platform, seconds: float) -> None:
    """Flights are due in so many seconds from now on; none come."""
    client.deploy(platform, NAME, objects(platform, replace(SETTINGS, feed_seconds=seconds)), deadline=300)


def rows(platform: Platform, months: Iterable[int]) -> int:
    wanted = ", ".join(str(month) for month in months)
    ((count,),) = platform.sql(f"SELECT count(*) FROM {FLIGHTS} WHERE month IN ({wanted})")
    return int(count)


def shifted(platform: Platform) -> bool:
    """Whether no flight of the last month leaves as early as the earliest of the month that it is like."""
    sql = (
        f"SELECT month, min({SHIFTED}) FROM {FLIGHTS} WHERE month IN ({LAST - LATER}, {LAST}) GROUP BY month"
    )
    earliest = dict(map(tuple, platform.sql(sql)))
    return bool(earliest[LAST] > earliest[LAST - LATER])


def weigh(platform: Platform, times: float) -> None:
    """Scores of the last month are so many times what they are; powers of 2 lose nothing."""
    platform.sql(f"UPDATE {PREDICTIONS} SET {SCORE} = {SCORE} * {times}e0 WHERE month = {LAST}")


def halved(platform: Platform) -> bool:
    """Whether no flight of the last month has a score over a half."""
    ((highest,),) = platform.sql(f"SELECT max({SCORE}) FROM {PREDICTIONS} WHERE month = {LAST}")
    return bool(highest <= 0.5)


def histogram(platform: Platform, month: int = LAST, width: int = 10) -> list[list[float]]:
    """`[begin of the bin, flights]` of the delays at departure; the first and the last bin have the rest."""
    place = f"greatest(-3, least(18, CAST(floor({SHIFTED} / {width}.0) AS integer)))"
    sql = (
        f"SELECT {place} AS place, count(*) FROM {FLIGHTS} "
        f"WHERE month = {month} AND {SHIFTED} IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    return [[int(bin_) * width, int(count)] for bin_, count in platform.sql(sql)]


# --- what the watch says ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """The verdicts that the lake has."""

    at: str
    snapshot: str
    verdicts: tuple[dict[str, Any], ...]
    """`window`, `subject`, `about`, `changed`, `effects` and `limits`."""

    @property
    def windows(self) -> set[str]:
        return {each["window"] for each in self.verdicts}

    @property
    def changed(self) -> set[tuple[str, str, str]]:
        """Window, column and what about it."""
        return {(each["window"], each["subject"], each["about"]) for each in self.verdicts if each["changed"]}

    def sizes(self) -> list[dict[str, Any]]:
        """Each effect with its limit, for the report."""
        return [
            {"window": each["window"], "subject": each["subject"], "about": each["about"], "effect": effect,
             "size": abs(size), "limit": each["limits"][effect], "changed": each["changed"]}
            for each in self.verdicts
            for effect, size in each["effects"].items()
        ]  # fmt: skip


def look(platform: Platform) -> Look | None:
    """The last verdicts; None before the first."""
    names = ("window", "subject", "about", "changed", "effects", "limits")
    columns = ", ".join(f'"{name}"' for name in names)
    try:
        found = platform.sql(f'SELECT CAST("at" AS varchar), "snapshot_id", {columns} FROM {VERDICTS}')
    except TrinoUserError as error:
        if error.error_name not in NOT_MADE_YET:
            raise
        return None
    read = [dict(zip(names, row[2:], strict=True)) for row in found]
    verdicts = [{**each, **{name: json.loads(each[name]) for name in ("effects", "limits")}} for each in read]
    return Look(str(found[0][0]), str(found[0][1]), tuple(verdicts)) if found else None


def next_look(platform: Platform, before: Look | None = None) -> Look:
    """The first verdicts after those; a look writes some where it found that the tables have changed."""
    found: list[Look] = []

    def there() -> bool:
        now = look(platform)
        found[:] = [now] if now and (before is None or now.at != before.at) else []
        return bool(found)

    until(there, f"{WATCH} to come to {'other' if before else 'its first'} verdicts", PATIENCE)
    return found[0]


def look_now(platform: Platform) -> Look:
    """The verdicts on the flights as they are now."""
    found: list[Look] = []

    def there() -> bool:
        now = look(platform)
        found[:] = [now] if now and now.snapshot == snapshot(platform) else []
        return bool(found)

    until(there, f"{WATCH} to judge the flights as they are", PATIENCE)
    return found[0]


def snapshot(platform: Platform) -> str:
    """The id of the newest one of the flights."""
    ((found,),) = platform.sql(f"SELECT snapshot_id FROM {PLACE}.\"flights$refs\" WHERE name = 'main'")
    return str(found)


def page(platform: Platform) -> str | None:
    """The page for people on the flights as they are, which is taken out of MLflow again; None where there is
    none.
    """
    mlflow = platform.mlflow()
    wanted = f"tags.snapshot_id = '{snapshot(platform)}'"
    html = None
    for run in mlflow.search_runs([probe.experiment(mlflow)], wanted):
        with tempfile.TemporaryDirectory() as folder:
            html = Path(mlflow.download_artifacts(run.info.run_id, "drift.html", folder)).read_text()
        mlflow.delete_run(run.info.run_id)
    return html


# --- what Prometheus says -----------------------------------------------------------------------------------


def told(platform: Platform) -> dict[Change, float]:
    """What Prometheus has of the last window: 1 where it changed. The series of a watch that has just gone
    stay for a while: what was not read lately is not of this one.
    """
    series = f'drift_changed{{watch="{WATCH}", model="{SERVES}"}}'
    lately = f"time() - timestamp({series}) < {2.5 * alarms.scrape_interval(platform):g}"
    query = f"max by (subject, about) ({series} and {lately})"
    found = platform.prometheus("query", query=query)["result"]
    return {(each["metric"]["subject"], each["metric"]["about"]): float(each["value"][1]) for each in found}


def until_told(platform: Platform, changed: set[Change]) -> dict[Change, float]:
    """What Prometheus shows once it calls these changed and nothing else."""
    found: dict[Change, float] = {}

    def seen() -> set[Change]:
        return {change for change, value in found.items() if value}

    def shows() -> bool:
        found.clear()
        found.update(told(platform))
        return bool(found) and seen() == changed

    until(shows, lambda: f"Prometheus to show {changed or 'no change'}; it shows {seen() or found}", PATIENCE)
    return found


def rules(platform: Platform) -> dict[str, dict[str, Any]]:
    """The alerts of the watch that Prometheus evaluates, by name; there may be other watches."""
    return alarms.rules(platform, having=f'watch="{WATCH}"')


def until_starved(platform: Platform) -> None:
    """Wait until Prometheus shows that the feed starves."""
    query = f'drift_starved{{watch="{WATCH}", model="{SERVES}"}} == 1'
    until(
        lambda: bool(platform.prometheus("query", query=query)["result"]),
        "Prometheus to show that flights are due which do not come",
        PATIENCE,
    )


def loaded(platform: Platform) -> bool:
    """Whether Prometheus evaluates the alerts of the watch."""
    return bool(rules(platform))


def scraped(platform: Platform) -> bool:
    """Whether Prometheus has the monitor of the watch, with pods to read or without."""
    pools = platform.prometheus("scrape_pools")["scrapePools"]
    return any(pool.startswith(f"podMonitor/{outputs.NAMESPACE_WORKLOADS}/{NAME}/") for pool in pools)


def alerting(platform: Platform, since: float, state: str = "pending|firing") -> set[str]:
    """The alerts of the watch that were pending or firing since then (seconds since 1970), by name."""
    query = f'ALERTS{{watch="{WATCH}", alertstate=~"{state}"}}'
    return {each["metric"]["alertname"] for each in alarms.series(platform, query, since, time.time())}


def stays_silent(platform: Platform) -> set[str]:
    """The alerts of the watch within three rounds of evaluation from now on."""
    began = time.time()
    over = began + 3 * alarms.scrape_interval(platform)
    until(lambda: time.time() > over, "three evaluations", PATIENCE)
    return alerting(platform, began)


def arrive(platform: Platform, alert: str, since: float, **labels: str) -> dict[str, Any]:
    """The alert of the watch with these labels, once the receiver has it firing."""
    return _arrive(platform, alert, since, "firing", labels)


def timed(platform: Platform, alert: dict[str, Any], since: float) -> list[dict[str, Any]]:
    """How the alert, which arrived, came from its condition to the receiver, for the report."""
    rule, around = rules(platform)[alert["alertname"]], alarms.allowed_around(platform)
    return [alarms.way(platform, rule, alert["received"], since, around).figures()]


def end(platform: Platform, alert: dict[str, Any], since: float) -> None:
    """Wait until the receiver has the end of it."""
    _arrive(platform, alert["alertname"], since, "resolved", alert["labels"])


def _arrive(
    platform: Platform, alert: str, since: float, status: str, labels: dict[str, str]
) -> dict[str, Any]:
    found: list[dict[str, Any]] = []

    def there() -> bool:
        found[:] = [
            each
            for each in alarms.arrived(platform, since, status)
            if each["alertname"] == alert and {**labels, "watch": WATCH}.items() <= each["labels"].items()
        ]
        return bool(found)

    until(there, f"{alert} of {WATCH} to be received as {status}", PATIENCE, every=1)
    return found[0]
