"""Every alert, of components and of workloads, fires when it should, and keeps silent when it should: seen by
Prometheus's own promtool.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import workloads
from infra import alerts, releases
from infra.components.monitoring import routing
from local import promtool
from proofs import alarms
from tests.unit import recorded_day
from workloads.react import manifest as react
from workloads.receive_alerts.config import ReceiveAlerts

WORKLOADS = Path(workloads.__file__).parent
FILES = sorted(file for rooms in (alerts.COMPONENTS, WORKLOADS) for file in rooms.glob("*/alerts.yaml"))
IMAGE = "registry.test/workloads:1"
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
A_DAY = Path(__file__).parent / "data" / "alerts" / "a_day_test.yaml"
RECORDED = A_DAY.with_name("half_an_hour_of_load.json")
"""What a platform with serving kept in the proof that half an hour of load raises no alarm: attached to it as
`recorded` in `reports/proofs.json`.
"""
HEARTBEAT = routing.HEARTBEAT
"""It always fires."""


@pytest.fixture(scope="session")
def run_promtool() -> Any:
    """promtool as a function of its arguments; fetched where it is not there."""
    program = promtool.ensure(releases.load()["prometheus"].version)

    def run(*arguments: object) -> None:
        command = [str(each) for each in (program, *arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"

    return run


def read(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


def rules(file: Path) -> Iterator[dict[str, Any]]:
    for group in read(file)["groups"]:
        yield from group["rules"]


def beside(file: Path) -> Path:
    return file.with_name("alerts_test.yaml")


def cases(file: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read(beside(file))["tests"]
    return found


def test_there_are_rules() -> None:
    rooms = [file.parents[1].name for file in FILES]
    assert rooms.count("components") > 10
    assert rooms.count("workloads") > 2


@pytest.mark.parametrize("workload", workloads.names())
def test_the_rules_that_a_workload_brings_are_those_of_its_file(workload: str) -> None:
    """As Prometheus gets them where nothing else is said: what is tested here is what is shipped."""
    brought = [
        each["spec"] for each in workloads.manifest(workload, IMAGE) if each["kind"] == "PrometheusRule"
    ]
    assert brought == [read(file) for file in FILES if file.parent == WORKLOADS / workload]


@pytest.mark.parametrize("workload", ["react", "ship_predictions"])
def test_a_workload_that_goes_by_another_name_has_alerts_about_itself(workload: str) -> None:
    made = workloads.manifest(workload, IMAGE, name="second", namespace="elsewhere")
    (brought,) = [
        yaml.safe_dump(each["spec"], width=9999) for each in made if each["kind"] == "PrometheusRule"
    ]
    assert "workloads" not in brought
    assert brought.count('namespace="elsewhere", job="elsewhere/second"') > 1


@every_file
def test_promtool_finds_no_fault_in_the_rules(run_promtool: Any, file: Path) -> None:
    run_promtool("check", "rules", "--lint-fatal", file)


@every_file
def test_the_rules_do_what_their_tests_say(run_promtool: Any, file: Path) -> None:
    run_promtool("test", "rules", beside(file))


@every_file
def test_every_alert_is_seen_to_fire_at_its_time_and_to_keep_silent(file: Path) -> None:
    step = alerts.seconds(read(beside(file))["evaluation_interval"])
    for rule in rules(file):
        if rule.get("alert", HEARTBEAT) == HEARTBEAT:
            continue
        name, onsets, silent = rule["alert"], 0, 0
        for case in cases(file):
            told = {
                alerts.seconds(each["eval_time"]): bool(each.get("exp_alerts"))
                for each in case.get("alert_rule_test", [])
                if each["alertname"] == name
            }
            onsets += sum(fires and told.get(time - step) is False for time, fires in told.items())
            silent += bool(told) and not any(told.values())
        assert onsets, f"no test sees {name} keep silent at one evaluation and fire at the next"
        assert silent, f"no test sees {name} keep silent throughout"


@every_file
def test_every_recorded_value_is_tested(file: Path) -> None:
    asked = [each["expr"] for case in cases(file) for each in case.get("promql_expr_test", [])]
    for rule in rules(file):
        if "record" in rule:
            assert any(rule["record"] in expression for expression in asked), rule["record"]


@every_file
def test_every_alert_says_how_grave_it_is_what_it_means_and_where_to_read_on(file: Path) -> None:
    for rule in rules(file):
        if "alert" in rule:
            grave = ("none",) if rule["alert"] == HEARTBEAT else ("warning", "critical")
            assert rule["labels"]["severity"] in grave, rule["alert"]
            assert rule["annotations"]["summary"], rule["alert"]
            assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"


def test_no_alert_fires_on_a_day_on_which_nothing_is_wrong(run_promtool: Any) -> None:
    run_promtool("test", "rules", A_DAY)


def test_that_day_has_all_that_rules_are_tested_with() -> None:
    """What it lacks could not raise a false alarm."""

    def names(tests: list[dict[str, Any]]) -> set[str]:
        return {each["series"].partition("{")[0] for case in tests for each in case["input_series"]}

    tested = set().union(*(names(cases(file)) for file in FILES))
    assert len(tested) > 15
    assert names(read(A_DAY)["tests"]) == tested


@pytest.mark.parametrize(
    ("away", "seconds", "told"),
    [("nothing", recorded_day.DAY, ()), ("mlflow", 3600, ("MlflowDown", "TargetDown"))],
)
def test_no_alert_fires_on_a_day_of_recorded_half_hours_but_about_what_is_away(
    run_promtool: Any, tmp_path: Path, away: str, seconds: int, told: tuple[str, ...]
) -> None:
    recorded = json.loads(RECORDED.read_text())
    for series, runs in recorded["series"].items():
        if series.startswith("up{") and f'job="{away}"' in series:
            recorded["series"][series] = [(0.0, sum(times for _, times in runs))]
    firing = f'ALERTS{{alertname!="{HEARTBEAT}", alertstate="firing"}}'
    seen = {
        "expr": f"group by (alertname) (count_over_time({firing}[{seconds}s]))",
        "eval_time": f"{seconds}s",
        "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in told],
    }
    case = {
        "interval": f"{recorded['step']}s",
        "input_series": recorded_day.inputs(recorded, seconds),
        "promql_expr_test": [seen],
    }
    # Of parts that were not there alerts would rightly fire.
    there = [
        str(file) for file in FILES if {rule.get("alert") for rule in rules(file)} & {*recorded["alerts"]}
    ]
    day = tmp_path / "day_test.yaml"
    day.write_text(json.dumps({"rule_files": there, "evaluation_interval": "2m", "tests": [case]}))
    run_promtool("test", "rules", day)


def test_all_who_speak_of_the_heartbeat_mean_the_same_alert() -> None:
    """Workloads, the program and the proofs do not know each other."""
    [always] = [rule for file in FILES for rule in rules(file) if rule.get("expr") == "vector(1)"]
    names = {always["alert"], alarms.HEARTBEAT, ReceiveAlerts().heartbeat, react.HEARTBEAT}
    assert names == {HEARTBEAT}
