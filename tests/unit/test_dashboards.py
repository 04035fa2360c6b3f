"""The dashboards of the components: as files, and as objects that Grafana and reports find."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from client.dashboards import LABELS
from infra import dashboards
from infra.components.monitoring.dashboards import LABEL
from infra.parts import ALL
from tests.unit.infra_stacks import STACKS, build, built, configuration

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "infra/components").glob("*/dashboard.json"))
NAMES = [file.parent.name for file in FILES]
UNIT = re.compile(r"none|short|percentunit|bytes|Bps|s|ms|ops|reqps|cps|suffix: [a-z]+")
OWN_METRICS = {
    "model_": ROOT / "workloads/serve_model/metrics.py",
    "booking_": ROOT / "workloads/booking_api/metrics.py",
}
"""By the beginning of their names, those that our own programs show, and where they are made."""


def load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_text())
    return found


def panels() -> list[Any]:
    return [
        pytest.param(panel, id=f"{file.parent.name}-{panel['title']}")
        for file in FILES
        for panel in load(file)["panels"]
    ]


def parsed(query: str) -> promql_parser.Expr:
    return promql_parser.parse(query.replace("$__rate_interval", "2m"))


def metrics(query: str) -> set[str]:
    """The metrics that a query reads."""
    found: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.add(node.name)

    promql_parser.walk(parsed(query), visit)
    return found


def test_there_are_dashboards_and_each_has_a_uid_and_a_title_of_its_own() -> None:
    assert len(FILES) >= 10
    for key in ("uid", "title"):
        values = [load(file)[key] for file in FILES]
        assert len(set(values)) == len(values), key


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_a_dashboard_is_small_and_of_this_platform_wherever_it_is_loaded(file: Path) -> None:
    dashboard = load(file)
    assert dashboard["uid"] == f"seatrial-{file.parent.name.replace('_', '-')}"
    assert dashboard["schemaVersion"] == 42
    assert dashboard["description"].endswith(".")
    assert 4 <= len(dashboard["panels"]) <= 8
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in dashboard["panels"]]
    assert len(set(titles)) == len(titles)
    text = file.read_text()
    assert "://" not in text
    assert len(text.splitlines()) <= 120
    variables = {each["name"] for each in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval"}
    assert used == variables == {"datasource"}


@pytest.mark.parametrize("panel", panels())
def test_a_panel_says_what_it_shows_and_in_which_unit(panel: dict[str, Any]) -> None:
    assert panel["type"] == "timeseries"
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    assert panel["description"].endswith(".")
    assert UNIT.fullmatch(panel["fieldConfig"]["defaults"]["unit"])
    letters = [target["refId"] for target in panel["targets"]]
    assert letters == [chr(ord("A") + place) for place in range(len(letters))]
    assert letters
    assert all(target["legendFormat"] for target in panel["targets"])


@pytest.mark.parametrize("panel", panels())
def test_every_query_is_promql_and_its_legend_names_labels_that_it_keeps(panel: dict[str, Any]) -> None:
    for target in panel["targets"]:
        kept = {word for words in re.findall(r"by \(([^)]*)\)", target["expr"]) for word in words.split(", ")}
        named = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
        assert metrics(target["expr"]), target["expr"]
        assert not kept or named <= kept, target


def test_what_is_no_promql_is_found() -> None:
    """The check must be able to fail."""
    for wrong in ("sum(rate(up[$__rate_interval])", "rate(up)", "sum by pod (up)"):
        with pytest.raises(ValueError):
            parsed(wrong)


def test_panels_lie_beside_each_other_not_upon() -> None:
    for file in FILES:
        places = [tuple(panel["gridPos"].values()) for panel in load(file)["panels"]]
        assert len(set(places)) == len(places), file
        assert all(x in (0, 12) and y % 8 == 0 and (w, h) == (12, 8) for x, y, w, h in places), file


@pytest.mark.parametrize(("start", "source"), OWN_METRICS.items())
def test_metrics_of_our_own_are_made_by_our_own_programs(start: str, source: Path) -> None:
    made = made_in(source)
    asked = {
        re.sub("_(bucket|sum|count)$", "", name)
        for file in FILES
        for panel in load(file)["panels"]
        for target in panel["targets"]
        for name in metrics(target["expr"])
        if name.startswith(start)
    }
    assert asked
    assert asked <= made, asked - made


def made_in(source: Path) -> set[str]:
    """The metrics that a module makes, by the names that Prometheus sees."""
    calls = [node for node in ast.walk(ast.parse(source.read_text())) if isinstance(node, ast.Call)]
    found = set()
    for call in calls:
        kind = getattr(call.func, "id", "")
        if kind in ("Counter", "Gauge", "Histogram"):
            name = ast.literal_eval(call.args[0])
            found.add(f"{name.removesuffix('_total')}_total" if kind == "Counter" else name)
    return found


def test_alerts_and_dashboards_ask_for_the_same_jobs() -> None:
    """What an alert calls down must be what the page shows as up."""
    for file in FILES:
        alerts = file.with_name("alerts.yaml")
        rules = [rule for group in yaml.safe_load(alerts.read_text())["groups"] for rule in group["rules"]]
        watched = {job for rule in rules for job in re.findall(r'up{[^}]*job="([^"]+)"', rule["expr"])}
        asked = re.findall(r'up{[^}]*job=~?"([^"]+)"', file.read_text().replace('\\"', '"'))
        for job in watched - {"workloads/models"}:
            assert any(re.fullmatch(pattern, job) for pattern in asked), f"{file.parent.name}: {job}"


def test_the_alerts_of_each_group_of_rules_belong_on_one_page() -> None:
    """A page's tags name them; reports mark there when they fired."""
    tags = [tag for file in FILES for tag in load(file)["tags"]]
    files = (ROOT / "infra/components").glob("*/alerts.yaml")
    groups = {group["name"] for file in files for group in yaml.safe_load(file.read_text())["groups"]}
    assert {tag: tags.count(tag) for tag in groups} == dict.fromkeys(groups, 1)
    assert set(tags) - groups == {"seatrial"}


# --- as objects ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_each_dashboard_as_a_labelled_config_map(stack: str) -> None:
    found = {
        each.inputs["metadata"]["name"]: each.inputs
        for each in built(stack).of_kind("ConfigMap")
        if LABELS.items() <= each.inputs["metadata"].get("labels", {}).items()
    }
    assert LABEL.items() <= LABELS.items()
    assert set(found) == {f"dashboard-{name.replace('_', '-')}" for name in NAMES}
    uids = set()
    for each in found.values():
        assert each["metadata"]["namespace"] == "platform-monitoring"
        [(name, text)] = each["data"].items()
        assert f"dashboard-{name}" == f"{each['metadata']['name']}.json"
        uids.add(json.loads(text)["uid"])
    assert len(uids) == len(NAMES)


def test_a_part_that_is_left_out_takes_its_dashboard_along(monkeypatch: pytest.MonkeyPatch) -> None:
    core = {"mlflow", "monitoring", "object-store", "postgresql", "trino"}
    assert set(dashboards.files(())) == core
    assert set(dashboards.files(ALL)) == core | {"training", "tuning", "queueing", "serving", "gateway"}
    monkeypatch.setenv("SEATRIAL_PARTS", "core")
    made = build("local", configuration("local")).of_kind("ConfigMap")
    named = {each.inputs["metadata"]["name"] for each in made}
    assert {name for name in named if name.startswith("dashboard-")} == {f"dashboard-{name}" for name in core}
