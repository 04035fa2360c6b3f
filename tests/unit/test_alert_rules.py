"""Every alert fires when it should, and keeps silent when it should: seen by Prometheus's own promtool."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import alerts, releases
from local import promtool

FILES = sorted(alerts.COMPONENTS.glob("*/alerts.yaml"))
NAMES = [file.parent.name for file in FILES]
A_DAY = Path(__file__).parent / "data" / "alerts" / "a_day_test.yaml"
HEARTBEAT = "Watchdog"
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


def rules(component: str) -> Iterator[dict[str, Any]]:
    for group in yaml.safe_load((alerts.COMPONENTS / component / "alerts.yaml").read_text())["groups"]:
        yield from group["rules"]


def cases(component: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load(
        (alerts.COMPONENTS / component / "alerts_test.yaml").read_text()
    )["tests"]
    return found


def test_there_are_rules() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("component", NAMES)
def test_promtool_finds_no_fault_in_the_rules(run_promtool: Any, component: str) -> None:
    run_promtool("check", "rules", "--lint-fatal", alerts.COMPONENTS / component / "alerts.yaml")


@pytest.mark.parametrize("component", NAMES)
def test_the_rules_do_what_their_tests_say(run_promtool: Any, component: str) -> None:
    run_promtool("test", "rules", alerts.COMPONENTS / component / "alerts_test.yaml")


@pytest.mark.parametrize("component", NAMES)
def test_every_alert_is_seen_to_fire_at_its_time_and_to_keep_silent(component: str) -> None:
    every = yaml.safe_load((alerts.COMPONENTS / component / "alerts_test.yaml").read_text())
    step = alerts.seconds(every["evaluation_interval"])
    for rule in rules(component):
        if rule.get("alert", HEARTBEAT) == HEARTBEAT:
            continue
        name, onsets, silent = rule["alert"], 0, 0
        for case in every["tests"]:
            told = {
                alerts.seconds(each["eval_time"]): bool(each.get("exp_alerts"))
                for each in case.get("alert_rule_test", [])
                if each["alertname"] == name
            }
            onsets += sum(fires and told.get(time - step) is False for time, fires in told.items())
            silent += bool(told) and not any(told.values())
        assert onsets, f"no test sees {name} keep silent at one evaluation and fire at the next"
        assert silent, f"no test sees {name} keep silent throughout"


@pytest.mark.parametrize("component", NAMES)
def test_every_recorded_value_is_tested(component: str) -> None:
    asked = [each["expr"] for case in cases(component) for each in case.get("promql_expr_test", [])]
    for rule in rules(component):
        if "record" in rule:
            assert any(rule["record"] in expression for expression in asked), rule["record"]


@pytest.mark.parametrize("component", NAMES)
def test_every_alert_says_how_grave_it_is_what_it_means_and_where_to_read_on(component: str) -> None:
    for rule in rules(component):
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

    tested = set().union(*(names(cases(component)) for component in NAMES))
    assert len(tested) > 15
    assert names(yaml.safe_load(A_DAY.read_text())["tests"]) == tested
