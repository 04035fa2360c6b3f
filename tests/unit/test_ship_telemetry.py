"""What the shipper tells Prometheus, asks the registry and says in its log."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import psycopg
import pytest
import requests
from prometheus_client import CollectorRegistry, generate_latest

from workloads.common import HopelessError, WorkloadError
from workloads.ship_predictions import config, main, manifest, registry, telemetry
from workloads.ship_predictions.quality import Figures, wilson
from workloads.ship_predictions.registry import Registry
from workloads.ship_predictions.telemetry import Telemetry
from workloads.train_delay import metrics

KNOWN = Figures("delay", "3", "all", "all", 500, 400, 0.8, 0.75, None, 0.15, 0.02, 320, 7)
FEW = Figures("delay", "4", "all", "all", 12, 3, None, None, None, None, None, 2, 0)
OF_EWR = Figures("delay", "3", "origin", "EWR", 90, 60, 0.7, None, 0.6, 0.2, 0.04, 42, 1)
SETTINGS = config.reference()


def told(collectors: CollectorRegistry) -> dict[str, float]:
    lines = generate_latest(collectors).decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_each_version_is_told_with_the_outcomes_that_its_figures_rest_on() -> None:
    collectors = CollectorRegistry()
    Telemetry(collectors).judged([KNOWN, FEW], {("delay", "3"): 0.85, ("delay", "4"): None})
    found, three = told(collectors), '{model="delay",version="3"}'
    assert found[f"live_outcomes{three}"] == 400
    assert found[f"live_predictions{three}"] == 500
    assert found[f"live_accuracy{three}"] == 0.8
    assert found[f"live_calibration_error{three}"] == 0.02
    assert found[f"live_registered_accuracy{three}"] == 0.85
    assert found[f"live_outcomes_before_prediction{three}"] == 7
    assert (found[f"live_accuracy_low{three}"], found[f"live_accuracy_high{three}"]) == wilson(320, 400)
    assert f"live_recall{three}" not in found, "there were too few late flights"
    four = {name: value for name, value in found.items() if 'version="4"' in name}
    assert four == {
        'live_predictions{model="delay",version="4"}': 12,
        'live_outcomes{model="delay",version="4"}': 3,
        'live_outcomes_before_prediction{model="delay",version="4"}': 0,
    }


def test_a_member_of_a_segment_is_told_under_names_of_its_own() -> None:
    """So that a sum over versions counts each outcome once."""
    collectors = CollectorRegistry()
    Telemetry(collectors).judged([KNOWN, OF_EWR], {("delay", "3"): 0.85})
    found = told(collectors)
    assert {name: value for name, value in found.items() if "EWR" in name} == {
        'live_segment_outcomes{member="EWR",model="delay",segment="origin",version="3"}': 60,
        'live_segment_accuracy{member="EWR",model="delay",segment="origin",version="3"}': 0.7,
        'live_segment_calibration_error{member="EWR",model="delay",segment="origin",version="3"}': 0.04,
    }
    assert [name for name in found if name.startswith("live_outcomes{")] == [
        'live_outcomes{model="delay",version="3"}'
    ]


def test_a_version_that_left_the_window_is_told_no_more() -> None:
    collectors = CollectorRegistry()
    made = Telemetry(collectors)
    made.judged([KNOWN, OF_EWR, FEW], {})
    made.judged([FEW], {})
    assert not any('version="3"' in name for name in told(collectors))


def test_the_lag_grows_while_no_round_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    collectors = CollectorRegistry()
    made = Telemetry(collectors)
    now = 1050.0
    assert told(collectors)["feedback_lag_seconds"] == 50, "nothing was shipped since it began"
    made.shipped({"predictions": 3, "outcomes": 0}, 7.0)
    found = told(collectors)
    assert found["feedback_lag_seconds"] == 7
    assert found['feedback_rows_shipped_total{table="predictions"}'] == 3
    assert found["feedback_last_success_timestamp_seconds"] > 1e9
    now = 1110.0
    assert told(collectors)["feedback_lag_seconds"] == 67


# --- the alert ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "known", "registered", "fires"),
    [(640, 1000, 0.75, True), (640, 1000, 0.69, False), (64, 100, 0.9, False), (7000, 10000, 0.75, True)],
)
def test_a_version_is_called_worse_only_when_it_surely_is(
    hits: int, known: int, registered: float, fires: bool
) -> None:
    """By the margin and the number of outcomes that the rule has; promtool shows that it goes by them."""
    margin, enough = (
        float(re.findall(pattern, _rule("LiveQualityFalls"))[0])
        for pattern in (r"live_registered_accuracy\) - ([0-9.]+)", r"live_outcomes\) >= ([0-9]+)$")
    )
    assert (wilson(hits, known)[1] < registered - margin and known >= enough) is fires


def _rule(alert: str) -> str:
    """Its expression."""
    made = manifest.objects("registry.example/seatrial/booking-api:1")
    (found,) = [item for item in made if item["kind"] == "PrometheusRule"]
    rules = [rule for group in found["spec"]["groups"] for rule in group["rules"]]
    return str(next(rule["expr"] for rule in rules if rule["alert"] == alert))


# --- the registry -------------------------------------------------------------------------------------------


class Mlflow:
    """Its REST interface, as far as it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.versions: dict[tuple[str, str], str] = {("delay", "3"): "run-3", ("delay", "5"): "run-5"}
        for name in ("URI", "USERNAME", "PASSWORD"):
            monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", f"http://mlflow.test/{name}/")
        monkeypatch.setattr(requests, "get", self.get)

    def get(self, url: str, *, params: dict[str, str], auth: Any, timeout: int) -> Any:
        assert auth == ("http://mlflow.test/USERNAME/", "http://mlflow.test/PASSWORD/")
        self.asked.append(url)
        if url == "http://mlflow.test/URI/api/2.0/mlflow/model-versions/get":
            if not params["version"].isdigit():
                return self._answer(400, {"error_code": "INVALID_PARAMETER_VALUE"})
            run_id = self.versions.get((params["name"], params["version"]))
            if run_id is None:
                return self._answer(404, {"error_code": "RESOURCE_DOES_NOT_EXIST"})
            return self._answer(200, {"model_version": {"run_id": run_id}})
        assert url == "http://mlflow.test/URI/api/2.0/mlflow/runs/get"
        metrics = [{"key": "test_recall", "value": 0.5}, {"key": "test_accuracy", "value": 0.87}]
        kept = metrics if params["run_id"] == "run-3" else metrics[:1]
        return self._answer(200, {"run": {"data": {"metrics": kept}}})

    def _answer(self, status: int, body: Any) -> Any:
        answer = requests.Response()
        answer.status_code = status
        answer.json = lambda **_: body  # type: ignore[method-assign]
        return answer


def test_what_a_version_reached_on_its_test_set_is_asked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    server, known = Mlflow(monkeypatch), Registry()
    assert [known.accuracy("delay", "3") for _ in range(3)] == [0.87] * 3
    assert len(server.asked) == 2


@pytest.mark.parametrize("version", ["4", "canary", "5"])
def test_of_a_version_without_a_test_nothing_is_known(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    server, known = Mlflow(monkeypatch), Registry()
    assert known.accuracy("delay", version) is None
    asked = len(server.asked)
    assert known.accuracy("delay", version) is None
    assert len(server.asked) == 2 * asked, "it may be there by now"


def test_its_metric_is_what_trainings_log() -> None:
    logged = metrics.summary(np.array([0.0, 1.0]), np.array([0.0, 1.0]), 0.5)
    assert registry.METRIC in {f"test_{name}" for name in logged}


# --- the loop -----------------------------------------------------------------------------------------------


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The loop with everything outside of it in stand-ins."""
    shipper = MagicMock()
    shipper.round.return_value = {"predictions": 2, "outcomes": 0, "outcome_changes": 1}
    shipper.lag.return_value = 3.0

    @contextmanager
    def connections() -> Iterator[tuple[Any, Any]]:
        yield "log", "staging"

    monkeypatch.setattr(main, "connections", connections)
    monkeypatch.setattr(main.common, "trino", MagicMock())
    monkeypatch.setattr(main, "Shipper", MagicMock(return_value=shipper))
    monkeypatch.setattr(main.quality, "make_views", MagicMock())
    monkeypatch.setattr(main.quality, "window", lambda *_: [KNOWN, OF_EWR, FEW])
    monkeypatch.setattr(main, "tidy", MagicMock())
    made = main.Looks(SETTINGS, MagicMock())
    made.registry = MagicMock()
    made.registry.accuracy.side_effect = [0.9, requests.ConnectionError("refused")]
    return Some(looks=made, shipper=shipper, told=made.told)


def test_a_look_ships_first_and_then_judges(looks: Any) -> None:
    assert looks.looks.look() == "2 predictions, 1 outcome_changes"
    looks.told.shipped.assert_called_once_with(looks.shipper.round.return_value, 3.0)
    looks.told.judged.assert_called_once_with(
        [KNOWN, OF_EWR, FEW], {("delay", "3"): 0.9, ("delay", "4"): None}
    )
    assert main.tidy.call_count == 0  # type: ignore[attr-defined]


def test_it_tidies_up_when_it_is_time_and_lives_when_that_fails(
    looks: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    looks.looks.tidied = -1e9
    main.tidy.side_effect = WorkloadError("Trino refused")  # type: ignore[attr-defined]
    looks.looks.look()
    assert "did not tidy up error=Trino refused" in capsys.readouterr().out
    looks.looks.registry.accuracy.side_effect = None
    looks.looks.look()
    assert main.tidy.call_count == 1, "an hour later"  # type: ignore[attr-defined]


def test_a_round_that_fails_is_told_once_and_tried_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failures: list[Any] = [
        psycopg.OperationalError("refused\nmore"),
        WorkloadError("no Trino"),
        WorkloadError("no Trino"),
    ]

    class Fails:
        def __init__(self, *_: Any) -> None:
            pass

        def look(self) -> str:
            if failures:
                raise failures.pop()
            return "nothing new"

    collectors, waits = CollectorRegistry(), iter([False, False, False, True])
    monkeypatch.setattr(main, "Event", lambda: Some(set=None, wait=lambda _: next(waits)))
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    monkeypatch.setattr(main, "REGISTRY", collectors)
    monkeypatch.setattr(telemetry, "serve", lambda *_: None)
    monkeypatch.setattr(main, "Looks", Fails)
    assert main.ship(SETTINGS) == {"rounds": 1, "last": "nothing new"}
    said = capsys.readouterr().out
    assert said.count("not done: WorkloadError: no Trino") == 1
    assert "not done: OperationalError: refused\n" in said
    assert told(collectors)["feedback_failed_rounds_total"] == 3


def test_what_cannot_get_better_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(main.signal, "signal", lambda *_: None)
    monkeypatch.setattr(main, "REGISTRY", CollectorRegistry())
    monkeypatch.setattr(telemetry, "serve", lambda *_: None)
    ends = MagicMock()
    ends.look.side_effect = HopelessError("restored")
    monkeypatch.setattr(main, "Event", lambda: Some(set=None, wait=lambda _: True))
    monkeypatch.setattr(main, "Looks", lambda *_: ends)
    with pytest.raises(HopelessError, match="restored"):
        main.ship(SETTINGS)
