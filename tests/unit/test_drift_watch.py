"""The watch as a whole, on the real flights in DuckDB in the place of Trino."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pandas as pd
import pytest
from prometheus_client import CollectorRegistry

import workloads
from react import policy
from react.decide import Alert, decide
from tests.unit import real_flights
from tests.unit.lake import Lake as Trino
from tests.unit.objects import Objects
from workloads import common
from workloads.common import HopelessError, WorkloadError
from workloads.react.manifest import POLICY
from workloads.settings import changed
from workloads.train_delay.features import KEY
from workloads.watch_drift import config, flights, main, page, predictions, table, windows
from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.flights import Lake
from workloads.watch_drift.metrics import Metrics
from workloads.watch_drift.predictions import Given, Model
from workloads.watch_drift.watch import Look, Store, Watch

IMAGE = "registry.example/seatrial/workloads:0123"
SCORES = (predictions.PREDICTION, predictions.RESIDUAL)
SMALL = config.WatchDrift(last_reference=2, first_watched=3, last_watched=4, report=False)


class Database:
    """The lake's tables, with one of every so many flights."""

    def __init__(self, last_month: int, every: int = 5) -> None:
        self.trino = Trino("")
        self.connection = self.trino.database
        rows = real_flights.months(1, last_month).iloc[::every]
        weather = rows[["origin", *flights.WEATHER]].assign(time_hour=np.arange(len(rows)))
        flown = rows.drop(columns=list(flights.WEATHER)).assign(time_hour=np.arange(len(rows)))
        for statement in (
            "CREATE SCHEMA iceberg.nycflights13",
            "CREATE TABLE iceberg.nycflights13.flights AS SELECT * FROM flown",
            "CREATE TABLE iceberg.nycflights13.weather AS SELECT * FROM weather",
            "CREATE TABLE iceberg.nycflights13.\"flights$refs\" AS SELECT 'main' AS name, 7 AS snapshot_id",
            "CREATE TABLE iceberg.nycflights13.\"weather$refs\" AS SELECT 'main' AS name, 70 AS snapshot_id",
        ):  # fmt: skip
            self.connection.execute(statement)
        del weather, flown

    def change(self, statement: str) -> None:
        """A commit that changes rows: the table has another snapshot then."""
        self.connection.execute(statement)
        for name in ("flights", "scores", "weather"):
            if name in statement.replace("nycflights13", "") and not statement.startswith("ALTER"):
                self.connection.execute(
                    f'UPDATE iceberg.nycflights13."{name}$refs" SET snapshot_id = snapshot_id + 1'
                )

    def lake(self, settings: WatchDrift = SMALL) -> Lake:
        return Lake(self.trino, settings)

    def read(self, month: int) -> pd.DataFrame:
        lake = self.lake()
        return lake.read(month, lake.states())


@pytest.fixture
def database() -> Database:
    return Database(last_month=4)


@pytest.fixture
def watch(database: Database) -> Watch:
    return Watch(SMALL, database.lake(), Store(Objects(), "b", "flights"), None)


def said(look: Look, window: str | None = None) -> set[tuple[str, str]]:
    return {
        (each.subject, each.about) for each in look.verdicts if each.changed and window in (None, each.window)
    }


# --- the lake -----------------------------------------------------------------------------------------------


def test_a_month_is_read_in_order_with_its_weather(database: Database) -> None:
    rows = database.read(3)
    expected = real_flights.months(1, 4).iloc[::5]
    expected = expected[expected["month"] == 3].reset_index(drop=True)
    assert list(rows.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(
        rows.sort_values([*rows.columns]).reset_index(drop=True),
        expected.sort_values([*rows.columns]).reset_index(drop=True),
        check_dtype=False,
    )
    assert rows["day"].is_monotonic_increasing
    assert set(flights.features(rows)) == set(flights.FEATURES)


def test_twice_the_same_weather_does_not_make_two_flights_of_one(database: Database) -> None:
    before = len(database.read(3))
    database.change("INSERT INTO iceberg.nycflights13.weather SELECT * FROM iceberg.nycflights13.weather")
    assert len(database.read(3)) == before


# --- looks --------------------------------------------------------------------------------------------------


def test_a_look_judges_each_month_and_looks_again_only_when_the_table_changed(
    watch: Watch, database: Database
) -> None:
    look = watch.look()
    assert look.current == "4"
    assert {each.window for each in look.verdicts} == {"3", "4"}
    assert watch.look() is look
    database.change("UPDATE iceberg.nycflights13.flights SET dep_delay = dep_delay + 60 WHERE month = 4")
    again = watch.look()
    assert ("dep_delay", "values") in said(again, "4")
    assert ("dep_delay", "values") not in said(again, "3")


def test_a_look_asks_once_when_nothing_changed_and_once_a_month_besides_when_it_judges(
    watch: Watch, database: Database
) -> None:
    asked = database.trino.statements
    for expected in (4, 1):  # The states; the flights of each month, and the two months themselves.
        before = len(asked)
        watch.look()
        assert len(asked) - before == expected, asked[before:]


def test_a_table_that_trino_could_not_read_is_no_table_without_columns(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(_: Any, sql: str) -> list[Any]:
        rows = common.query(database.trino, sql)
        return [row for row in rows if row[:1] != ("weather",) or row[1] == ""]

    lake = database.lake()
    monkeypatch.setattr(flights, "common", Some(query=told))
    with pytest.raises(WorkloadError, match=r"no columns of weather in iceberg\.nycflights13"):
        lake.states()


def test_two_months_without_flights_are_a_feed_that_starves(watch: Watch, database: Database) -> None:
    database.change("DELETE FROM iceberg.nycflights13.flights WHERE month = 4")
    assert ("rows", "starved") not in said(watch.look())
    assert watch.look().current == "3"
    database.change("DELETE FROM iceberg.nycflights13.flights WHERE month = 3")
    look = watch.look()
    assert said(look) == {("rows", "starved")}
    assert [each.about for each in look.of_current()] == ["starved"]


def test_a_column_that_went_missing_is_named_though_that_makes_no_snapshot(
    watch: Watch, database: Database
) -> None:
    watch.look()
    database.change("ALTER TABLE iceberg.nycflights13.flights DROP COLUMN distance")
    assert ("distance", "missing") in said(watch.look())


def test_weather_that_changed_is_looked_at(watch: Watch, database: Database) -> None:
    watch.look()
    database.change("UPDATE iceberg.nycflights13.weather SET humid = NULL")
    assert ("humid", "nulls") in said(watch.look())


def test_each_detector_that_is_chosen_has_a_verdict_with_its_name(database: Database) -> None:
    chosen = replace(SMALL, detector="e,adwin")
    watch = Watch(chosen, database.lake(), Store(Objects(), "b", "flights"), None)
    watch.look()
    database.change("UPDATE iceberg.nycflights13.flights SET arr_delay = arr_delay + 30")
    found = {(each.window, each.about): each for each in watch.look().verdicts if each.kind == "stream"}
    names = ("days by e", "days by adwin")
    assert set(found) == {(window, name) for window in ("3", "4") for name in names}
    assert all(found["3", name].changed for name in names)
    assert "days unlike those of the reference until 03-" in found["3", "days by adwin"].says


def test_a_classifier_is_asked_where_it_is_wanted_and_has_the_alert_of_features(
    database: Database,
) -> None:
    settings, store = replace(SMALL, classifier=True), Objects()
    without = Watch(SMALL, database.lake(), Store(store, "b", "f"), None)
    assert "together" not in {each.about for each in without.look().verdicts}
    Watch(settings, database.lake(), Store(store, "b", "f"), None)
    watch = Watch(settings, database.lake(), Store(store, "b", "f"), None)
    before = {each.window: each for each in watch.look().verdicts if each.about == "together"}
    database.change("UPDATE iceberg.nycflights13.flights SET dep_delay = dep_delay + 60 WHERE month = 4")
    after = {each.window: each for each in watch.look().verdicts if each.about == "together"}
    assert set(before) == set(after) == {"3", "4"}
    assert before["3"] == after["3"]
    assert after["4"].effects["auc"] > before["4"].effects["auc"] > 0.5
    assert after["4"].changed
    registry = CollectorRegistry()
    Metrics(settings, registry).show(watch.look(), starving=False)
    of = {"watch": "flights", "model": "delay", "kind": "classifier", "subject": "columns",
          "about": "together"}  # fmt: skip
    assert registry.get_sample_value("drift_changed", of) == 1
    assert registry.get_sample_value("drift_effect", {**of, "effect": "auc"}) == after["4"].effects["auc"]
    kinds = re.findall(r'kind=~?"([^"]*)"', (Path(main.__file__).parent / "alerts.yaml").read_text())
    assert [kind for kind in kinds if re.fullmatch(kind, "classifier")] == ["feature|classifier"]


def test_a_restart_takes_the_reference_that_was_kept(database: Database) -> None:
    objects = Objects()
    first = Watch(SMALL, database.lake(), Store(objects, "b", "flights"), None)
    database.change("UPDATE iceberg.nycflights13.flights SET distance = 1")
    again = Watch(SMALL, database.lake(), Store(objects, "b", "flights"), None)
    assert again.reference.sha256 == first.reference.sha256
    assert again.days.kept() == first.days.kept()
    assert ("distance", "values") in said(again.look())
    other = changed(SMALL, ["late_minutes=15", "model="])
    assert Watch(other, database.lake(), Store(objects, "b", "flights"), None).reference.sha256 == (
        first.reference.sha256
    )
    more = WatchDrift(last_reference=3, first_watched=4, last_watched=4)
    assert Watch(more, database.lake(), Store(objects, "b", "flights"), None).reference.sha256 != (
        first.reference.sha256
    )


def test_a_reference_without_a_column_that_is_watched_is_refused(database: Database) -> None:
    database.change("ALTER TABLE iceberg.nycflights13.flights DROP COLUMN distance")
    with pytest.raises(HopelessError, match=r"months \[1, 2\] have no column distance; run ingest_flights"):
        Watch(SMALL, database.lake(), Store(Objects(), "b", "flights"), None)


def test_a_store_that_fails_is_no_reason_to_learn_anew() -> None:
    def fail(**_: Any) -> Any:
        raise ConnectionError("refused")

    with pytest.raises(WorkloadError, match=r"cannot be read \(drift/x/reference.json\): refused"):
        Store(Some(get_object=fail), "b", "x").get({})


# --- days ---------------------------------------------------------------------------------------------------

DAILY = replace(SMALL, window="day")


@pytest.fixture(scope="module")
def kept_days() -> tuple[Objects, list[int]]:
    """The store with the reference of days, and how many flights each day of April has."""
    database, store = Database(last_month=4, every=2), Objects()
    Watch(DAILY, database.lake(), Store(store, "b", "flights"), None)
    return store, [len(day) for _, day in database.read(4).groupby("day")]


@pytest.fixture
def days(kept_days: Any) -> tuple[Watch, Database]:
    database = Database(last_month=4, every=2)
    return Watch(DAILY, database.lake(), Store(kept_days[0], "b", "flights"), None), database


def test_by_day_the_newest_31_days_are_judged_each_by_itself(days: tuple[Watch, Database]) -> None:
    watch, database = days
    assert len(watch.reference.periods) == 59, "the reference's stretches are days too"
    before = watch.look()
    assert list(before.judged) == ["03-31", *(f"04-{day:02}" for day in range(1, 31))]
    assert {each.window for each in before.verdicts} == set(before.judged)
    database.change(
        "UPDATE iceberg.nycflights13.flights SET dep_delay = dep_delay + 120 WHERE month = 4 AND day > 28"
    )
    asked = len(database.trino.statements)
    after = watch.look()
    assert len(database.trino.statements) - asked == 4, "of a month one statement, however many days it has"
    more = {(each.window, *each.of) for each in after.verdicts if each.changed} - {
        (each.window, *each.of) for each in before.verdicts if each.changed
    }
    assert more == {(f"04-{day}", "feature", "dep_delay", "values") for day in (29, 30)}
    assert after.current == "04-30"


def test_of_days_prometheus_is_shown_the_newest_and_how_many_have_changed(
    days: tuple[Watch, Database],
) -> None:
    watch, database = days
    database.change("UPDATE iceberg.nycflights13.flights SET distance = NULL WHERE month = 4 AND day > 20")
    registry = CollectorRegistry()
    Metrics(DAILY, registry).show(watch.look(), starving=False)
    own = {"watch": "flights", "model": "delay"}
    of = {**own, "kind": "feature", "subject": "distance", "about": "nulls"}
    found = [registry.get_sample_value(f"drift_{name}", own) for name in ("window", "windows")]
    assert found == [430, 31]
    assert registry.get_sample_value("drift_changed", of) == 1
    assert registry.get_sample_value("drift_windows_changed", of) == 10


def test_two_days_without_flights_are_a_feed_that_starves(days: tuple[Watch, Database]) -> None:
    watch, database = days
    for day, current, starves in ((30, "04-29", False), (29, "04-30", True)):
        database.change(f"DELETE FROM iceberg.nycflights13.flights WHERE month = 4 AND day = {day}")
        look = watch.look()
        assert look.current == current
        assert (("rows", "starved") in said(look, current)) == starves


def test_a_month_of_daily_verdicts_is_one_statement_that_trino_takes(
    days: tuple[Watch, Database],
) -> None:
    watch, _ = days
    sql = table.replace_sql("x.y.z", watch.look(), watch.reference.sha256, datetime.now(UTC))
    assert sql.count(f"'{watch.reference.sha256}'") > 31 * 2 * len(flights.FEATURES)
    assert len(sql) < 600_000, "a million is too much, and predictions come on top"


def test_the_page_for_people_is_of_the_window_alone(
    days: tuple[Watch, Database], kept_days: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[int, int]] = []
    monkeypatch.setattr(main, "page", lambda before, now: shown.append((len(before), len(now))))
    watch, database = days
    main.tell_people(watch, watch.look())
    assert shown == [(len(database.read(2)), kept_days[1][-1])]


def test_a_window_is_named_in_the_order_of_time_and_each_due_day_is_one() -> None:
    month, day = windows.WINDOWS["month"], windows.WINDOWS["day"]
    assert (month.name((7,)), day.name((7, 4)), day.of_day("07-04"), month.of_day("07-04")) == (
        "7", "07-04", "07-04", "7")  # fmt: skip
    assert month.counted([9, 10], {(9,): 3, (1,): 8}) == {"9": 3, "10": 0}
    counted = day.counted([2], {(2, 29): 5, (2, 1): 1, (3, 1): 9})
    assert (len(counted), list(counted)[-1], sum(counted.values())) == (29, "02-29", 6)
    assert len(day.counted([2], {})) == 28
    assert [windows.number_of(name) for name in ("7", "07-24")] == [7, 724]
    assert [windows.month_of(name) for name in ("7", "07-24")] == [7, 7]


# --- predictions --------------------------------------------------------------------------------------------


class Guess:
    """A model that goes by the delay at departure."""

    def predict(self, inputs: pd.DataFrame) -> pd.DataFrame:
        assert inputs["hour"].dtype == np.int64
        assert inputs["dep_delay"].notna().all()
        return pd.DataFrame({"late_probability": 1 / (1 + np.exp(-(inputs["dep_delay"] - 15) / 10))})


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    versions = [Some(version="9"), Some(version="10")]
    registry = Some(search_model_versions=lambda wanted: versions if "delay-classifier" in wanted else [])
    mlflow = Some(tracking=Some(MlflowClient=lambda: registry), pyfunc=Some(load_model=lambda uri: Guess()))
    monkeypatch.setattr(common, "mlflow", lambda: mlflow)
    return Model(changed(SMALL, ["model=delay-classifier"]))


def test_predictions_and_their_residuals_are_watched_where_a_model_is_named(
    database: Database, model: Model
) -> None:
    assert model.version == "10"
    watch = Watch(SMALL, database.lake(), Store(Objects(), "b", "flights"), model)
    assert watch.reference.predictions == ("prediction", "residual")
    database.change("UPDATE iceberg.nycflights13.flights SET dep_delay = dep_delay + 60 WHERE month = 4")
    kinds = {each.subject: each.kind for each in watch.look().verdicts if each.changed}
    assert kinds["prediction"] == kinds["residual"] == "prediction"
    database.change("ALTER TABLE iceberg.nycflights13.flights DROP COLUMN distance")
    assert {("distance", "missing"), ("prediction", "missing")} <= said(watch.look(), "4")


GIVEN = replace(SMALL, predictions="scores")


@pytest.fixture
def scored(database: Database) -> Watch:
    """Watches scores that were given: they go by the delay at departure."""
    keys = ", ".join(KEY)
    for statement in (
        f"CREATE TABLE iceberg.nycflights13.scores AS SELECT {keys}, "
        "1 / (1 + exp((15 - dep_delay) / 10)) AS score FROM iceberg.nycflights13.flights",
        "CREATE TABLE iceberg.nycflights13.\"scores$refs\" AS SELECT 'main' AS name, 700 AS snapshot_id",
    ):
        database.connection.execute(statement)
    return Watch(GIVEN, database.lake(GIVEN), Store(Objects(), "b", "flights"), Given(GIVEN))


def test_each_score_goes_to_its_flight_however_often_it_is_kept(scored: Watch, database: Database) -> None:
    database.change("INSERT INTO iceberg.nycflights13.scores SELECT * FROM iceberg.nycflights13.scores")
    rows = scored.lake.read(3, scored.lake.states())
    assert len(rows) == len(database.read(3))
    expected = 1 / (1 + np.exp((15 - rows["dep_delay"]) / 10))
    pd.testing.assert_series_equal(rows["score"], expected, check_names=False)


def test_scores_that_change_are_looked_at_and_called_alone(scored: Watch, database: Database) -> None:
    before = said(scored.look())
    assert {each.kind for each in scored.look().verdicts if each.subject in SCORES} == {"prediction"}
    database.change("UPDATE iceberg.nycflights13.scores SET score = score / 2 WHERE month = 4")
    assert said(scored.look()) - before == {(name, "values") for name in SCORES}


@pytest.mark.parametrize(
    "statement", ["scores DROP COLUMN score", "scores DROP COLUMN flight", "flights DROP COLUMN carrier"]
)
def test_scores_without_flights_or_flights_without_scores_are_named(
    scored: Watch, database: Database, statement: str
) -> None:
    scored.look()
    database.change(f"ALTER TABLE iceberg.nycflights13.{statement}")
    assert {(name, "missing") for name in SCORES} <= said(scored.look())


@pytest.mark.parametrize("statement", ["DROP COLUMN score", "ALTER flight SET DATA TYPE bigint USING -1"])
def test_a_table_without_a_score_of_the_reference_is_refused(
    scored: Watch, database: Database, statement: str
) -> None:
    database.change(f"ALTER TABLE iceberg.nycflights13.scores {statement}")
    with pytest.raises(HopelessError, match=r"table scores has no score of the months \[1, 2\]; its columns"):
        Watch(GIVEN, database.lake(GIVEN), Store(Objects(), "b", "flights"), Given(GIVEN))


def test_a_reference_of_other_scores_is_learned_anew(scored: Watch, database: Database) -> None:
    kept = Store(Objects(), "b", "flights")
    kept.put(scored.reference)
    assert kept.get(scored.identity()) is not None
    assert kept.get(Watch(SMALL, database.lake(), Store(Objects(), "b", "x"), None).identity()) is None


def test_a_model_that_is_not_registered_is_refused(model: Model) -> None:
    with pytest.raises(HopelessError, match="no version of a model 'nothing' is registered"):
        Model(changed(SMALL, ["model=nothing"]))


def test_what_never_arrived_is_neither_late_nor_in_time() -> None:
    rows = pd.DataFrame({"arr_delay": [16.0, 15.0, np.nan]})
    assert predictions.late(rows, 15).tolist()[:2] == [1.0, 0.0]
    assert predictions.late(rows, 15).isna().tolist() == [False, False, True]


# --- what is told -------------------------------------------------------------------------------------------


def test_the_table_holds_every_verdict_and_is_replaced(watch: Watch, database: Database) -> None:
    look = watch.look()
    at = datetime(2026, 11, 27, 12, tzinfo=UTC)
    sql = table.replace_sql("iceberg.nycflights13.verdicts", look, watch.reference.sha256, at)
    for _ in range(2):
        database.connection.execute(sql.replace("timestamp(6) with time zone", "timestamptz"))
    rows = (
        database.connection.execute("SELECT * FROM iceberg.nycflights13.verdicts")
        .to_arrow_table()
        .to_pandas()
    )
    assert list(rows.columns) == list(table.COLUMNS)
    assert len(rows) == len(look.verdicts)
    assert set(rows["reference_sha256"]) == {watch.reference.sha256}
    row = rows[(rows["subject"] == "dep_delay") & (rows["about"] == "values")].iloc[0]
    assert set(json.loads(row["effects"])) == set(json.loads(row["limits"])) == {"ks", "psi", "wasserstein"}
    assert table.quoted("Martha's") == "'Martha''s'"


def test_metrics_show_the_current_window_and_forget_what_is_gone(watch: Watch, database: Database) -> None:
    registry = CollectorRegistry()
    metrics = Metrics(SMALL, registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(name, {"watch": "flights", "model": "delay", **labels})

    of = {"kind": "feature", "subject": "distance", "about": "values"}
    metrics.show(watch.look(), starving=False)
    assert value("drift_changed", **of) == 0
    assert value("drift_limit", **of, effect="ks") == 0.08
    assert value("drift_window") == 4
    assert value("drift_window_rows") == len(real_flights.months(1, 4).iloc[::5].query("month == 4"))
    assert value("drift_starved") == 0
    metrics.show(watch.look(), starving=True)
    assert value("drift_starved") == 1
    database.change("ALTER TABLE iceberg.nycflights13.flights DROP COLUMN distance")
    metrics.show(watch.look(), starving=False)
    assert value("drift_changed", **of) is None
    assert value("drift_changed", **{**of, "kind": "schema", "about": "missing"}) == 1


def test_drift_is_answered_by_a_training_of_the_model_that_is_named(watch: Watch) -> None:
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    rules = policy.parse(POLICY.read_text())

    def answered(**settings: Any) -> str:
        registry = CollectorRegistry()
        Metrics(replace(SMALL, **settings), registry).show(watch.look(), starving=False)
        samples = [each for metric in registry.collect() for each in metric.samples]
        shown = next(each.labels for each in samples if each.name == "drift_changed")
        # Prometheus has no labels that are empty.
        labels = {name: value for name, value in shown.items() if value}
        alert = Alert("f", {"alertname": "FeatureDrifts", **labels}, now - timedelta(hours=1), now)
        return decide(rules, alert, now, []).action

    assert answered() == "retrain"
    assert answered(serves="") == "page"


def test_every_series_that_an_alert_asks_for_is_one_that_is_shown() -> None:
    registry = CollectorRegistry()
    Metrics(SMALL, registry)
    shown = {metric.name for metric in registry.collect()}
    text = (Path(main.__file__).parent / "alerts.yaml").read_text()
    asked = {word for word in text.replace("(", " ").replace("{", " ").split() if word.startswith("drift_")}
    assert {word.rstrip(")") for word in asked} <= shown
    assert len(asked) >= 4


def test_prometheus_gets_a_look_whole(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that is read while another look is being shown has the look before, with all of its verdicts."""
    registry, look = CollectorRegistry(), watch.look()
    metrics, read = Metrics(SMALL, registry), []

    def page() -> set[str]:
        found = [each for metric in registry.collect() for each in metric.samples]
        return {each.labels["subject"] for each in found if each.name == "drift_changed"}

    def clock() -> float:
        read.append(page())
        return 1.0

    metrics.show(look, starving=False)
    monkeypatch.setattr("workloads.watch_drift.metrics.time", Some(time=clock))
    metrics.show(replace(look, verdicts=[]), starving=False)
    assert read == [{verdict.subject for verdict in look.of_current()}]
    assert page() == set()


def test_a_feed_starves_by_the_clock_where_flights_are_due() -> None:
    now = [0.0]
    feed = main.Feed(10, lambda: now[0])
    assert not feed.starves(5)
    now[0] = 20
    assert not feed.starves(5)
    now[0] = 21
    assert feed.starves(5)
    assert not feed.starves(6), "something came"
    assert not main.Feed(0, lambda: now[0] * 1e9).starves(5), "nothing is due"


def test_once_writes_down_what_it_found(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(main, "begin", lambda settings: watch)
    monkeypatch.setattr(main.table, "write", lambda *_: "iceberg.drift.flights")
    result = main.once(SMALL)
    assert (result["table"], result["window"], result["snapshot_id"]) == ("iceberg.drift.flights", "4", "7")
    assert all(what for what in result["changed"].values())


def test_a_lake_that_is_away_is_told_once_and_is_no_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(settings: WatchDrift) -> Watch:
        raise WorkloadError("Trino refused `SELECT 1`: away")

    waits: Iterator[bool] = iter([False, False, True])
    monkeypatch.setattr(main, "Event", lambda: Some(set=None, wait=lambda _: next(waits)))
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    monkeypatch.setattr("prometheus_client.start_http_server", lambda port: None)
    monkeypatch.setattr("workloads.watch_drift.metrics.Metrics", lambda *_: Some(show=None))
    monkeypatch.setattr(main, "begin", fail)
    assert main.serve(SMALL)["last"] == "cannot look: Trino refused `SELECT 1`: away"
    assert capsys.readouterr().out.count("cannot look") == 1


def test_without_evidently_there_is_no_page_and_its_failure_is_told(tmp_path: Path) -> None:
    rows = pd.DataFrame({"a": [1.0, 2.0]})
    assert page.page(rows, rows, tmp_path / "python") is None
    with pytest.raises(WorkloadError, match=r"(?s)Evidently failed: .*No module named 'evidently'"):
        page.page(rows, rows, Path(sys.executable))


# --- settings and objects -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("name=My-Watch", "must be like flights_of_may"),
        ("last_reference=1", "must be after first_reference"),
        ("last_watched=6", "must be first_watched or later"),
        ("every=0", "must be above 0"),
        ("window=week", "must be one of month, day"),
        ("season=0.5", "must be at least 1"),
        ("detector=ddm", "must be of e, adwin, kswin, page_hinkley"),
        ("predictions=x,model=y", "must be empty where a model is asked anew"),
        ("level=1", "must be from 0 to 1"),
        ("least_rows=5", "must be at least 50"),
    ],
)
def test_a_setting_that_does_not_fit_is_refused_before_anything_is_deployed(setting: str, words: str) -> None:
    given = [word for each in setting.split(",") for word in ("--set", each)]
    with pytest.raises(ValueError, match=words):
        workloads.manifest("watch_drift", IMAGE, arguments=given)


NAMES = ("level", "ks", "wasserstein", "psi", "unknown", "nulls", "auc", "season")


def test_each_limit_can_be_set() -> None:
    given = [f"{name}={number + 10 * (name == 'season')}e-1" for number, name in enumerate(NAMES, 1)]
    chosen = changed(SMALL, given).limits
    assert [getattr(chosen, name) for name in NAMES] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 1.8]


def test_it_serves_metrics_that_prometheus_finds_with_its_rules() -> None:
    made = {item["kind"]: item for item in workloads.manifest("watch_drift", IMAGE, config="tiny")}
    assert set(made) == {"Deployment", "PodMonitor", "PrometheusRule"}
    (pod,) = made["Deployment"]["spec"]["template"]["spec"]["containers"]
    assert pod["image"] == "registry.example/seatrial/watch-drift:0123"
    assert pod["command"][2:] == ["workloads.watch_drift.main", "--config", "tiny"]
    (endpoint,) = made["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == pod["ports"][0]["name"]
    labels = made["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert made["PodMonitor"]["spec"]["selector"]["matchLabels"].items() <= labels.items()
    for kind in ("PodMonitor", "PrometheusRule"):
        assert made[kind]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seatrial"
    rules = made["PrometheusRule"]["spec"]["groups"][0]["rules"]
    assert {rule["alert"] for rule in rules} == {
        "FeatureDrifts", "PredictionsDrift", "DriftDetectorStarved", "SchemaChanged"}  # fmt: skip


def test_alerts_are_of_their_watch_alone() -> None:
    for name in ("flights", "summer"):
        made = workloads.manifest("watch_drift", IMAGE, arguments=["--set", f"name={name}"])
        (group,) = made[-1]["spec"]["groups"]
        for rule in group["rules"]:
            asked = rule["expr"].partition(" > 3 *")[0] + rule["expr"].partition(" + 120")[2]
            assert asked.count("drift_") == asked.count(f'{{watch="{name}"'), rule["alert"]


def test_as_a_job_it_looks_once() -> None:
    (job,) = workloads.manifest("watch_drift", IMAGE, form="Job", arguments=["--set", "psi=0.2"])
    (pod,) = job["spec"]["template"]["spec"]["containers"]
    assert pod["command"][2:] == [
        "workloads.watch_drift.main", "--config", "reference", "--once", "--set", "psi=0.2"]  # fmt: skip
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
