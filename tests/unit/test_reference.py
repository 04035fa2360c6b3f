"""The reference pages are made from the code and are as the code is now."""

import subprocess
import sys
from pathlib import Path

import pytest

from seatrial import reference

ROOT = Path(__file__).parents[2]


def test_the_reference_of_commands_is_fresh(tmp_path: Path) -> None:
    made = tmp_path / "commands.md"
    command = [sys.executable, "-m", "typer", "seatrial.cli", "utils", "docs", "--name", "seatrial"]
    subprocess.run([*command, "--output", made], cwd=ROOT, check=True, capture_output=True)
    assert (ROOT / "docs/reference/commands.md").read_text() == made.read_text(), "run `make reference`"


@pytest.mark.parametrize("name", ["settings.md", "workloads.md", "alerts.md"])
def test_a_reference_is_fresh(name: str) -> None:
    made = reference.pages()[name]
    assert (ROOT / "docs/reference" / name).read_text() == made, "run `make reference`"


def test_every_setting_is_listed_with_its_default() -> None:
    page = reference.settings_page()
    assert "## trino" in page
    assert "| `coordinator.heap_mib` | `8192` |" in page
    assert "| `prometheus.resources` | `{cpu: 50m, memory: 600Mi}` |" in page
    assert "| `learning_rate` | `0.002` |" in reference.workloads_page()


def test_every_alert_is_listed_with_its_times_and_its_runbook() -> None:
    page = reference.alerts_page()
    beginnings = {
        "| [PostgresqlDown](../runbooks/PostgresqlDown.md) | critical | PostgreSQL takes no connections: ",
        "| [TargetDown](../runbooks/TargetDown.md) | warning | *namespace*/*pod* (*job*) does not answer ",
        "| [RouteErrors](../runbooks/RouteErrors.md) | critical | *value* of the requests of ",
    }
    ends = {
        " | 2m | 2m | postgresql | core |",
        " | now | 5m | monitoring | core |",
        " | 5m | 5m | gateway | serving |",
        " | 10m | at once | trino | core |",
    }
    assert all(beginning in page for beginning in beginnings)
    assert all(end in page for end in ends)
    assert "| `mlflow:requests_5xx:ratio_rate5m` | 5m | mlflow | `mlflow_http_request_total` |" in page


def test_every_alert_of_the_components_is_listed() -> None:
    names = {
        line.split(": ")[1]
        for file in (ROOT / "infra/components").glob("*/alerts.yaml")
        for line in file.read_text().splitlines()
        if line.strip().startswith("- alert: ")
    }
    assert len(names) > 25
    page = (ROOT / "docs/reference/alerts.md").read_text()
    assert {name for name in names if f"[{name}](../runbooks/{name}.md)" not in page} == set()
    assert all((ROOT / f"docs/runbooks/{name}.md").is_file() for name in names)
