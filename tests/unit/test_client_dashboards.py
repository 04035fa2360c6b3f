"""How dashboards are read from a platform and what is made of Prometheus's answers."""

import json
from collections.abc import Callable
from types import SimpleNamespace as Some
from typing import Any

import httpx
import pytest

from client import ClientError, dashboards
from client.dashboards import Span

WHEN = Span(1000.0, 1600.0)
QUERY = 'sum by (pod) (rate(x{namespace="$space"}[$__rate_interval]))'
PAGE = {
    "uid": "seatrial-x", "title": "X", "description": "About.", "tags": ["seatrial", "x"],
    "templating": {"list": [
        {"name": "datasource", "type": "datasource", "query": "prometheus"},
        {"name": "space", "type": "constant", "query": "workloads"},
    ]},
    "panels": [
        {"type": "row", "title": "left out"},
        {
            "title": "Requests", "description": "A second.",
            "fieldConfig": {"defaults": {"unit": "reqps", "min": 0}},
            "targets": [
                {"expr": QUERY, "legendFormat": "{{pod}} of {{ job }}"},
                {"expr": "y"},
            ],
        },
    ],
}  # fmt: skip


class Platform:
    """Answers of Prometheus by query, and the ConfigMaps that are there."""

    def __init__(self, answers: dict[str, Any], texts: list[str] | None = None) -> None:
        self.answers, self.asked = answers, list[dict[str, str]]()
        items = [
            Some(metadata=Some(name=f"d{i}"), data={"x.json": text}) for i, text in enumerate(texts or [])
        ]
        self.selected: list[tuple[str, str]] = []
        self.items = items
        self.core = self

    def list_namespaced_config_map(self, space: str, label_selector: str) -> Any:
        self.selected.append((space, label_selector))
        return Some(items=self.items)

    def prometheus(self, path: str, **parameters: str) -> Any:
        if path != "query_range":
            return self.answers[path]
        self.asked.append(parameters)
        answer = self.answers[parameters["query"]]
        return {"result": answer() if callable(answer) else answer}


def series(values: list[Any], **labels: str) -> dict[str, Any]:
    return {"metric": labels, "values": [[1000 + 30 * place, value] for place, value in enumerate(values)]}


RESOLVED = 'sum by (pod) (rate(x{namespace="workloads"}[120s]))'


def test_a_panel_is_asked_for_the_span_with_grafanas_interval() -> None:
    platform: Any = Platform({RESOLVED: [series(["1", "2"], pod="a")], "y": []})
    shown = dashboards.show(platform, PAGE, WHEN)
    assert platform.asked[0] == {"query": RESOLVED, "start": "1000.0", "end": "1600.0", "step": "15.0"}
    [panel] = shown.panels
    assert (shown.uid, shown.groups, panel.title, panel.unit) == (
        "seatrial-x",
        ["seatrial", "x"],
        "Requests",
        "reqps",
    )
    assert (panel.least, panel.most) == (0, None)
    assert [(each.name, each.points) for each in panel.series] == [("a of", [(1000.0, 1.0), (1030.0, 2.0)])]


@pytest.mark.parametrize(
    ("scrape", "seconds", "step", "interval"),
    [(30, 600, 15, 120), (30, 7200, 60, 120), (30, 86400, 720, 750), (15, 600, 7.5, 60), (5, 60, 2.5, 60)],
)
def test_steps_and_intervals_follow_the_span(
    scrape: float, seconds: float, step: float, interval: float
) -> None:
    when = Span(0, seconds, scrape)
    assert (when.step, when.rate_interval) == (step, interval)


def test_a_share_of_nothing_is_no_value() -> None:
    answers = {RESOLVED: [series(["NaN", "+Inf", "-Inf"], pod="a"), series(["NaN", "0"], pod="b")], "y": []}
    platform: Any = Platform(answers)
    [panel] = dashboards.show(platform, PAGE, WHEN).panels
    assert [(each.name, each.points) for each in panel.series] == [("b of", [(1030.0, 0.0)])]


def test_a_series_without_a_legend_is_called_by_its_labels() -> None:
    assert dashboards.named("", {"__name__": "up", "pod": "p", "job": "j"}) == "job=j, pod=p"


def refused(status: int, body: str) -> Callable[[], Any]:
    def answer() -> Any:
        response = httpx.Response(status, text=body, request=httpx.Request("GET", "http://x"))
        response.raise_for_status()

    return answer


@pytest.mark.parametrize(
    ("body", "told"), [('{"error": "parse error: x"}', "parse error: x: y"), ("<html>", "HTTP 400: y")]
)
def test_what_prometheus_says_of_a_wrong_query_is_kept_and_the_others_are_shown(body: str, told: str) -> None:
    platform: Any = Platform({RESOLVED: [series(["1"], pod="a")], "y": refused(400, body)})
    [panel] = dashboards.show(platform, PAGE, WHEN).panels
    assert panel.errors == [told]
    assert len(panel.series) == 1


def test_a_variable_without_a_value_is_refused() -> None:
    with pytest.raises(
        ClientError, match=r"(?s)has the variable nobody, which has no value.*use one of: a, b"
    ):
        dashboards.resolve("x{a='${nobody}'}", {"a": "1", "b": "2"})
    assert dashboards.resolve("${a} $b ${a:regex}", {"a": "1", "b": "2"}) == "1 2 1"


def test_a_query_with_an_unknown_variable_is_told_and_the_others_are_shown() -> None:
    page = json.loads(json.dumps(PAGE))
    page["panels"][1]["targets"][1]["expr"] = "y{a='$nobody'}"
    platform: Any = Platform({RESOLVED: [series(["1"], pod="a")]})
    [panel] = dashboards.show(platform, page, WHEN).panels
    assert panel.errors == ["the query \"y{a='$nobody'}\" has the variable nobody, which has no value"]
    assert len(panel.series) == 1


def test_dashboards_are_read_by_title_and_their_absence_is_told() -> None:
    texts = [json.dumps({"title": title}) for title in ("Trino", "MLflow")]
    platform: Any = Platform({}, texts)
    assert [each["title"] for each in dashboards.read(platform)] == ["MLflow", "Trino"]
    selector = "grafana_dashboard=1,app.kubernetes.io/part-of=seatrial"
    assert platform.selected == [("platform-monitoring", selector)]
    nothing: Any = Platform({})
    with pytest.raises(
        ClientError, match="no ConfigMap of platform-monitoring is labelled grafana_dashboard=1"
    ):
        dashboards.read(nothing)
    torn: Any = Platform({}, ["{"])
    with pytest.raises(ClientError, match="is no JSON"):
        dashboards.read(torn)


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("1m30s", 90), ("1h", 3600), ("500ms", 0.5)])
def test_durations_of_prometheus(text: str, seconds: float) -> None:
    assert dashboards.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "30", "s", "1m 30s"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration of Prometheus"):
        dashboards.duration(text)


RULES = {"groups": [{"name": "mlflow", "rules": [{"name": "MlflowDown"}]}]}


def test_alerts_have_a_beginning_an_end_and_come_back() -> None:
    times = [1000, 1015, 1030, 1090, 1105]
    down = {
        "metric": {"__name__": "ALERTS", "alertname": "MlflowDown", "alertstate": "firing", "job": "mlflow"},
        "values": [[moment, "1"] for moment in times],
    }
    gone = {"metric": {"alertname": "Gone", "alertstate": "pending"}, "values": [[1600, "1"]]}
    platform: Any = Platform({"ALERTS": [down, gone], "rules": RULES})
    first, second, third = dashboards.alerts(platform, WHEN)
    assert (first.start, first.end, second.start, second.end) == (1000, 1045, 1090, 1120)
    assert (first.name, first.state, first.group, first.labels) == (
        "MlflowDown",
        "firing",
        "mlflow",
        {"job": "mlflow"},
    )
    assert (third.name, third.group, third.end) == ("Gone", "", 1600)


def test_all_that_was_seen_is_plain_data() -> None:
    answers = {
        RESOLVED: [series(["1"], pod="a")],
        "y": [],
        "ALERTS": [],
        "rules": RULES,
        "status/config": {"yaml": "global:\n  scrape_interval: 15s\n"},
    }
    answers[RESOLVED.replace("120s", "60s")] = answers[RESOLVED]
    platform: Any = Platform(answers, [json.dumps(PAGE)])
    seen = json.loads(json.dumps(dashboards.observed(platform, 1000.0, 1600.0)))
    assert (seen["start"], seen["end"], seen["step"], seen["alerts"]) == (1000.0, 1600.0, 7.5, [])
    assert seen["dashboards"][0]["panels"][0]["series"] == [{"name": "a of", "points": [[1000.0, 1.0]]}]
