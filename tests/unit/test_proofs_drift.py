"""The proofs of drift, against the real watch over real flights in DuckDB: what they say when it holds and
when not. Prometheus, Alertmanager and the receiver are a thread.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import duckdb
import numpy as np
import pytest
from kubernetes import client as k8s
from prometheus_client import CollectorRegistry
from trino.exceptions import TrinoUserError

import client
from infra import outputs
from proofs import alarms, damage_drift, drifted, faults, probe
from proofs.run import REGISTRY, Result, run_one
from proofs.subjects import drift
from tests.unit import real_flights
from tests.unit.lake import Lake
from tests.unit.objects import Objects
from workloads.common import WorkloadError
from workloads.settings import stated
from workloads.train_delay.features import WEATHER
from workloads.watch_drift import config, flights, table
from workloads.watch_drift.main import Feed
from workloads.watch_drift.metrics import Metrics
from workloads.watch_drift.predictions import Given
from workloads.watch_drift.watch import Store, Watch

SHIFT, COLUMN, FEED, SCORES = (
    "a_shift_is_called_and_nothing_else", "a_column_that_is_gone_is_named", "a_feed_that_is_cut_is_told_of",
    "predictions_that_shift_are_called",
)  # fmt: skip
ALERTS = {
    SHIFT: "FeatureDrifts", COLUMN: "SchemaChanged", FEED: "DriftDetectorStarved", SCORES: "PredictionsDrift",
}  # fmt: skip
IMAGE = "registry.example/seatrial/workloads:0123"
HOLDS = 0.2
"""Seconds, of the alerts here."""
EVERY = 0.03
"""Seconds between two evaluations."""
CONDITIONS = {
    "FeatureDrifts": ("drift_changed", {"kind": "feature"}),
    "PredictionsDrift": ("drift_changed", {"kind": "prediction"}),
    "SchemaChanged": ("drift_changed", {"kind": "schema"}),
    "DriftDetectorStarved": ("drift_starved", {}),
}
PAGE = f"\n<!DOCTYPE html>{drifted.SHIFTED}" + "x" * 2_000_000


class Here:
    """A platform, as far as these proofs need one, with what is deployed on it."""

    def __init__(self) -> None:
        self.access, self.name = dict.fromkeys(outputs.SECRET_ACCESS_OF["serving"], "x"), "dev"
        self.access["S3_BUCKET"] = "datasets"
        self.api = None
        self.store, self.lake = Objects(), Lake("")
        self.objects: dict[str, Any] = {}
        self.left: dict[str, Any] = {}
        """What Prometheus still has of a watch that is gone."""
        self.over, self.ended = threading.Event(), threading.Event()
        self.watch = threading.Thread()
        self.registry = CollectorRegistry()
        self.since: dict[str, float] = {}
        self.history: list[tuple[float, str, str]] = []
        self.received: list[dict[str, Any]] = []
        self.calls_more: tuple[str, str] | None = None
        self.settings = drifted.SETTINGS
        self.page, self.pages = PAGE, dict[str, str]()
        """What Evidently would make, and what MLflow has, by snapshot."""
        self.clock = time.monotonic
        self._load()
        self.lake.after = self._commit
        self.prometheus_thread = threading.Thread(target=self._evaluate)
        self.prometheus_thread.start()

    def _load(self) -> None:
        rows = real_flights.months(1, 3)
        rows = rows[rows["flight"] % 4 == 0]
        hours = np.arange(len(rows))
        weather = rows[["origin", "month", *WEATHER]].assign(time_hour=hours)
        flown = rows.drop(columns=list(WEATHER)).assign(time_hour=hours)
        self.lake.database.execute("CREATE SCHEMA iceberg.nycflights13")
        self.lake.database.execute("CREATE TABLE iceberg.nycflights13.flights AS SELECT * FROM flown")
        self.lake.database.execute("CREATE TABLE iceberg.nycflights13.weather AS SELECT * FROM weather")
        del weather, flown

    def _commit(self, sql: str) -> None:
        """Each change of rows is a snapshot; a renamed column is none."""
        for name in ("flights", "predictions", "weather"):
            place, refs = f"{drifted.PLACE}.{name}", f'{drifted.PLACE}."{name}$refs"'
            if sql.startswith(f"CREATE TABLE {place} "):
                self.lake.rows(f"CREATE TABLE {refs} AS SELECT 'main' AS name, 1 AS snapshot_id")
            elif sql.startswith(f"DROP TABLE IF EXISTS {place}"):
                self.lake.rows(f"DROP TABLE IF EXISTS {refs}")
            elif sql.startswith((f"UPDATE {place}", f"DELETE FROM {place}", f"INSERT INTO {place}")):
                self.lake.rows(f"UPDATE {refs} SET snapshot_id = snapshot_id + 1")

    # --- what the proofs use of a platform ---

    def sql(self, statement: str) -> list[Any]:
        try:
            return [list(row) for row in self.lake.run(statement)]
        except duckdb.CatalogException as error:
            raise TrinoUserError({"errorName": "TABLE_NOT_FOUND", "message": str(error)}) from error

    def s3(self) -> Any:
        return self.store

    def mlflow(self) -> Any:
        def found(experiments: list[str], wanted: str) -> list[Any]:
            assert experiments == ["7"]
            return [Some(info=Some(run_id=each)) for each in self.pages if wanted.endswith(f"'{each}'")]

        def download(run: str, name: str, folder: str) -> str:
            (Path(folder) / name).write_text(self.pages[run])
            return f"{folder}/{name}"

        return Some(
            get_experiment_by_name=lambda name: Some(experiment_id="7") if name == "probes" else None,
            search_runs=found, download_artifacts=download, delete_run=self.pages.pop,
        )  # fmt: skip

    def deploy(self, _: Any, name: str, objects: list[Any], deadline: float) -> None:
        self.delete(None, name)
        self.objects = {each["kind"]: each for each in objects}
        (pod,) = self.objects["Deployment"]["spec"]["template"]["spec"]["containers"]
        self.settings = stated(config.reference(), pod["command"])
        self.over.clear()
        self.registry = CollectorRegistry()
        self.watch = threading.Thread(target=self._look)
        self.watch.start()

    def delete(self, _: Any, name: str) -> None:
        self.over.set()
        if self.watch.ident:
            self.watch.join(60)
        self.objects = {}

    def _look(self) -> None:
        """As the workload does it."""
        settings = self.settings
        watch, kept = None, None
        metrics, feed = Metrics(settings, self.registry), Feed(settings.feed_seconds, self.clock)
        while not self.over.wait(0.05):
            try:
                store = Store(self.store, "datasets", settings.name)
                watch = watch or Watch(settings, flights.Lake(self.lake, settings), store, Given(settings))
                look = watch.look()
                if look is not kept:
                    if self.calls_more:
                        self._call_more(look)
                    table.write(self.lake, settings, look, watch.reference.sha256, datetime.now(UTC))
                    kept = look
                    if settings.report and self.page and look.rows[look.current]:
                        self.pages[look.snapshot] = self.page
                metrics.show(look, feed.starves(sum(look.rows.values())))
            except WorkloadError:
                continue

    def _call_more(self, look: Any) -> None:
        for place, each in enumerate(look.verdicts):
            if (each.window, each.subject) == self.calls_more and each.about == "values":
                look.verdicts[place] = type(each)(**{**each.__dict__, "changed": True})

    # --- Prometheus and what comes behind it ---

    def found(self) -> bool:
        """Whether the monitor is one that Prometheus looks for."""
        monitor = self.objects.get("PodMonitor") or self.left.get("PodMonitor")
        return bool(monitor and monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seatrial")

    def _samples(self, name: str) -> list[dict[str, str]]:
        """The labels of each series, with its value."""
        if not self.found():
            return []
        found = [each for metric in list(self.registry.collect()) for each in metric.samples]
        return [{**each.labels, "value": str(each.value)} for each in found if each.name == name]

    def _evaluate(self) -> None:
        while not self.ended.wait(EVERY):
            rules = self.objects.get("PrometheusRule")
            firing: dict[str, dict[str, str]] = {}
            for alert, (series, wanted) in CONDITIONS.items() if rules else ():
                for each in self._samples(series):
                    if each.pop("value") == "1.0" and wanted.items() <= each.items():
                        labels = {"alertname": alert, **each}
                        firing[json.dumps(labels, sort_keys=True)] = labels
            if rules and not self._samples("drift_look_timestamp_seconds"):
                firing["absent"] = {"alertname": "DriftDetectorStarved", "watch": drifted.WATCH}
            self._tell(firing, time.time())

    def _tell(self, firing: dict[str, dict[str, str]], now: float) -> None:
        for fingerprint, labels in firing.items():
            since = self.since.setdefault(fingerprint, now)
            state = "firing" if now - since >= HOLDS else "pending"
            self.history.append((now, labels["alertname"], state))
            if state == "firing":
                self._receive("firing", fingerprint, labels, now)
        for gone in set(self.since) - set(firing):
            del self.since[gone]
            was = [each for each in self.received if each["fingerprint"] == gone]
            if was and was[-1]["status"] == "firing":
                self._receive("resolved", gone, was[-1]["labels"], now)

    def _receive(self, status: str, fingerprint: str, labels: dict[str, str], now: float) -> None:
        last = [each["status"] for each in self.received if each["fingerprint"] == fingerprint][-1:]
        if last != [status]:
            self.received.append(
                {"status": status, "fingerprint": fingerprint, "labels": labels, "received": now,
                 "alertname": labels["alertname"]}
            )  # fmt: skip

    def arrived(self, _: Any, since: float, status: str) -> list[Any]:
        return [each for each in self.received if each["status"] == status and each["received"] >= since]

    def prometheus(self, path: str, **asked: str) -> Any:
        if path == "rules":
            kept = self.objects.get("PrometheusRule") or self.left.get("PrometheusRule", {})
            groups = kept.get("spec", {}).get("groups", [])
            rules = [
                {"name": rule["alert"], "query": rule["expr"], "duration": HOLDS}
                for group in groups
                for rule in group["rules"]
            ]
            # Another watch, with an alert of the same name.
            others = {"name": "FeatureDrifts", "query": 'drift_changed{watch="flights"} == 1', "duration": 0}
            return {"groups": [{"rules": rules, "interval": EVERY}, {"rules": [others], "interval": 99}]}
        if path == "scrape_pools":
            pools = [f"podMonitor/workloads/{drifted.NAME}/0"] if self.found() else []
            return {"scrapePools": ["podMonitor/workloads/another/0", *pools]}
        if path == "query":
            assert f'watch="{drifted.WATCH}"' in asked["query"]
            if "drift_starved" in asked["query"]:
                series = [each for each in self._samples("drift_starved") if float(each["value"]) == 1]
            else:
                series = self._samples("drift_changed")
            return {"result": [{"metric": each, "value": [0, each["value"]]} for each in series]}
        # What was evaluated last holds until the next time.
        start, end = float(asked["start"]) - 0.05, float(asked["end"])
        seen = [entry for entry in self.history if start <= entry[0] <= end]
        by_query = {rule["query"]: rule["name"] for rule in self.prometheus("rules")["groups"][0]["rules"]}
        if name := by_query.get(asked["query"]):
            return {"result": [{"values": [[at, "1"]]} for at, alert, _ in seen if alert == name][:1]}
        (states,) = re.findall(r'alertstate=~?"(.*?)"', asked["query"])
        (wanted,) = re.findall(r'alertname="(.*?)"', asked["query"]) or [None]
        inside = {name for _, name, state in seen if state in states and wanted in (None, name)}
        return {"result": [{"metric": {"alertname": name}, "values": []} for name in inside]}

    # --- Kubernetes ---

    def delete_namespaced_custom_object(self, *place: str) -> None:
        assert place[3:] == ("prometheusrules", drifted.NAME)
        del self.objects["PrometheusRule"]

    def patch_namespaced_custom_object(self, *place: Any) -> None:
        assert place[3:5] == ("podmonitors", drifted.NAME)
        self.objects["PodMonitor"]["metadata"]["labels"] |= place[5]["metadata"]["labels"]


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Here]:
    made = Here()
    monkeypatch.setattr(client, "deploy", made.deploy)
    monkeypatch.setattr(client, "delete_workloads", made.delete)
    monkeypatch.setattr(alarms, "arrived", made.arrived)
    monkeypatch.setattr(alarms, "scrape_interval", lambda _: 0.1)
    monkeypatch.setattr(alarms, "group_wait", lambda _: 0.7)
    monkeypatch.setattr(probe, "workload_image", lambda _: IMAGE)
    monkeypatch.setattr(k8s, "CustomObjectsApi", lambda _: made)
    monkeypatch.setattr(drifted, "PATIENCE", 20)  # A busy machine takes 10.
    yield made
    made.delete(None, "")
    made.ended.set()
    made.prometheus_thread.join()


def proven(platform: Any, name: str) -> Result:
    return run_one(REGISTRY[f"drift.{name}"], platform, None)


@pytest.mark.parametrize("name", [SHIFT, COLUMN, FEED, SCORES])
def test_they_pass_where_it_holds_and_leave_nothing(platform: Here, name: str) -> None:
    result = proven(platform, name)
    assert (result.result, result.cause) == ("passed", "")
    assert result.assertions > 3
    (way,) = result.attached["alerts"]
    assert way["alert"] == ALERTS[name]
    assert way["pending"]
    assert HOLDS <= way["took"] < 5
    assert way["allowed"] == pytest.approx(0.1 + EVERY + HOLDS + 0.7)
    assert platform.store.kept == {}
    assert "1" not in platform.pages, "the page that was read"
    left = platform.lake.rows("SELECT table_schema, table_name FROM information_schema.tables")
    assert {schema for schema, _ in left} == {"nycflights13"}, left


@pytest.mark.parametrize(
    ("fault", "name"),
    [
        (damage_drift.wrong_label, SHIFT),
        (damage_drift.healed_shift, SHIFT),
        (damage_drift.muted, COLUMN),
        (damage_drift.refilled_feed, FEED),
        (damage_drift.healed_scores, SCORES),
    ],
)
def test_a_fault_reddens_its_proof_and_is_mended(
    platform: Here, fault: Callable[[Any], AbstractContextManager[None]], name: str
) -> None:
    (described,) = [each for each in faults.FAULTS.values() if each.breaks is fault]
    with fault(platform):
        broken = proven(platform, name)
    assert described.reddens == (f"drift.{name}",)
    assert broken.result == "failed"
    assert any(word in broken.cause for word in described.words), broken.cause
    again = proven(platform, name)
    assert (again.result, again.cause) == ("passed", "")


@pytest.mark.parametrize("fault", [damage_drift.wrong_label, damage_drift.muted])
def test_a_fault_waits_until_nothing_of_an_earlier_watch_would_do(
    platform: Here, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Any], AbstractContextManager[None]]
) -> None:
    platform.left = {each["kind"]: each for each in drifted.objects(platform)}  # type: ignore[arg-type]
    monkeypatch.setattr(drifted, "PATIENCE", 0)
    with pytest.raises(client.ClientError, match=r"earlier .* to be forgotten"), fault(platform):
        raise AssertionError("it did not wait")
    platform.left = {}
    with fault(platform):
        pass


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("4", "carrier"), "not so: months from which nothing has drifted are not called changed"),
        (("6", "origin"), "not so: months from which nothing has drifted are not called changed"),
    ],
)
def test_a_watch_that_calls_too_much_is_found_out(platform: Here, more: Any, words: str) -> None:
    platform.calls_more = more
    assert words in proven(platform, SHIFT).cause


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (SHIFT, "not so: the alert names the column and the model"),
        (SCORES, "not so: the alert names the model"),
    ],
)
def test_an_alert_about_another_model_is_found_out(
    platform: Here, monkeypatch: pytest.MonkeyPatch, name: str, words: str
) -> None:
    receive = platform._receive

    def renamed(status: str, fingerprint: str, labels: dict[str, str], now: float) -> None:
        receive(status, fingerprint, {**labels, "model": "another"}, now)

    monkeypatch.setattr(platform, "_receive", renamed)
    assert words in proven(platform, name).cause


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("", "not so: MLflow has a page for people"),
        (f"<!DOCTYPE html>{drifted.SHIFTED}", "not so: its size is that of one by Evidently"),
        (PAGE.replace(drifted.SHIFTED, ""), "not so: the page is on the columns of the flights"),
    ],
)
def test_a_page_that_is_none_is_found_out(platform: Here, page: str, words: str) -> None:
    platform.page = page
    assert words in proven(platform, FEED).cause


def test_a_clock_that_stands_still_is_found_out(platform: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.clock = lambda: 0.0
    monkeypatch.setattr(drifted, "PATIENCE", 5)
    assert "for Prometheus to show that flights are due" in proven(platform, FEED).cause


def test_what_a_killed_run_left_is_taken_away(platform: Here) -> None:
    for statement in (
        f"CREATE SCHEMA {drifted.PLACE}", f"CREATE TABLE {drifted.FLIGHTS} AS SELECT 1 AS x",
        "CREATE SCHEMA iceberg.drift", f"CREATE TABLE {drifted.VERDICTS} AS SELECT 1 AS x",
    ):  # fmt: skip
        platform.sql(statement)
    platform.store.kept[f"drift/{drifted.WATCH}/reference.json"] = b"of another run"
    assert proven(platform, FEED).cause == ""


def test_the_report_gets_each_effect_and_both_distributions(platform: Here) -> None:
    found = proven(platform, SHIFT).attached["drift"]
    assert {each["window"] for each in found["sizes"]} == {"4", "5", "6"}
    changed = {(each["window"], each["subject"]) for each in found["sizes"] if each["changed"]}
    assert changed == {("6", "dep_delay")}
    before, after = ({place: count for place, count in found[side]} for side in ("before", "after"))
    assert sum(before.values()) == sum(after.values()) > 4000
    assert after[30] == before[0], "half an hour is three bins"


def test_its_alerts_are_told_soon_and_call_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "workload_image", lambda _: IMAGE)
    made = {each["kind"]: each for each in drifted.objects(Some(api=None))}  # type: ignore[arg-type]
    (group,) = made["PrometheusRule"]["spec"]["groups"]
    assert {rule["labels"]["severity"] for rule in group["rules"]} == {"none"}
    (endpoint,) = made["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert "interval" not in endpoint
    assert all(f'watch="{drifted.WATCH}"' in rule["expr"] for rule in group["rules"])
    (pod,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert {"every=2.0", "report=false", "serves=probe-drift", "last_watched=6"} <= set(pod["command"])
    assert drift.LAST == "6"
