"""The reference pages are made from the code and are as the code is now."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from infra.components.monitoring.settings import MonitoringSettings
from infra.settings import of_stack_file
from seatrial import detection, reference

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
        " | now | 1m | watch_drift | serving |",
        " | 30m | at once | react | serving |",
        " | 2m | 2m | postgresql | core |",
        " | now | 5m | monitoring | core |",
        " | 5m | 5m | gateway | serving |",
        " | 10m | at once | trino | core |",
    }
    assert all(beginning in page for beginning in beginnings)
    assert all(end in page for end in ends)
    assert "| `mlflow:requests_5xx:ratio_rate5m` | 5m | mlflow | `mlflow_http_request_total` |" in page


def test_every_alert_of_components_and_workloads_is_listed() -> None:
    names = {
        line.split(": ")[1]
        for rooms in ("infra/components", "workloads")
        for file in (ROOT / rooms).glob("*/alerts.yaml")
        for line in file.read_text().splitlines()
        if line.strip().startswith("- alert: ")
    }
    assert len(names) > 40
    page = (ROOT / "docs/reference/alerts.md").read_text()
    sections = re.split(r"\n## ", page)
    listed = "".join(each for each in sections if each.startswith(("Of components", "Of workloads")))
    arrives = next(each for each in sections if each.startswith("When an alert arrives"))
    for name in names:
        link = f"[{name}](../runbooks/{name}.md)"
        assert listed.count(link) == 1, name
        assert arrives.count(link) == (name != "Watchdog"), name
        assert (ROOT / f"docs/runbooks/{name}.md").is_file()


# --- how long it takes until an alert can know --------------------------------------------------------------


def rules() -> dict[str, str]:
    """The expressions of all alerts."""
    return {rule["alert"]: rule["expr"] for rule in reference.listed()}


@pytest.mark.parametrize(
    ("alert", "usual", "local"),
    [
        # 2.1 scrapes until the series of a pod that is gone end.
        ("TrinoDown", 63, 10.5),
        # A scrape, which waits for as long as Prometheus has patience, or until the next.
        ("TargetDown", 40, 10),
        # The window, whatever the pace.
        ("PostgresqlDown", 120, 120),
        # A twentieth of five minutes, and two scrapes; a hundredth; a twentieth of ten; a fifth.
        ("RouteErrors", 75, 25),
        ("ModelFails", 63, 13),
        ("ModelRefusesRequests", 90, 40),
        ("NodeMemoryShort", 120, 70),
        ("MonitorWithoutTargets", 40, 15),
        ("TrinoOutOfMemory", 30, 5),
        # A look each minute, read every 15 s.
        ("SchemaChanged", 75, 75),
        ("DriftDetectorStarved", 300, 300),
        ("FeedbackStalls", 915, 915),
        ("ReactionFails", 300, 300),
    ],
)
def test_how_long_an_alert_cannot_know_follows_from_the_settings(
    alert: str, usual: float, local: float
) -> None:
    expression = rules()[alert]
    source = detection.source_of(expression)
    paces = [detection.Pace.of(MonitoringSettings()), detection.Pace.of(of_stack_file("local").monitoring)]
    assert [source.seconds(pace, expression) for pace in paces] == [usual, local]


def test_an_alert_about_something_new_asks_how_long_that_takes() -> None:
    with pytest.raises(LookupError, match=r"drone_height > 3\n.* add what it looks at to SOURCES"):
        detection.source_of("drone_height > 3")


def test_every_source_is_that_of_an_alert() -> None:
    looked_at = {detection.source_of(expr).what for name, expr in rules().items() if name != "Watchdog"}
    assert looked_at == {source.what for source in detection.SOURCES}


def test_what_is_said_of_a_lost_node_holds_of_the_local_cluster() -> None:
    """Its controller manager is started without a word on it."""
    started = (ROOT / "local/cluster/control_plane.py").read_text()
    assert "node-monitor" not in started
    assert "toleration-seconds" not in started
