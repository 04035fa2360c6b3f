"""The dashboards of a running platform, and what Prometheus answers to their panels over a span of time."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import httpx
import yaml

from client.errors import ClientError
from client.platform import Platform
from infra import outputs

LABELS = {"grafana_dashboard": "1", "app.kubernetes.io/part-of": "seatrial"}
"""Of our own: others in the same Grafana may have panels that nobody here can draw."""
POINTS = 120
"""That a line is drawn of at the most."""
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))")
_LABEL_OF = re.compile(r"{{\s*(\w+)\s*}}")
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d|w|y)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800, "y": 31536000}
Point = tuple[float, float]
"""Seconds since 1970, and the value, which is finite."""


@dataclass(frozen=True)
class Span:
    """A time that is looked at: seconds since 1970, and how far apart samples are taken."""

    start: float
    end: float
    scrape: float = 30.0
    """Seconds between two samples of a target, for most of them."""

    @property
    def step(self) -> float:
        """Seconds between two points."""
        return max((self.end - self.start) / POINTS, self.scrape / 2, 1.0)

    @property
    def rate_interval(self) -> float:
        """What Grafana gives for `$__rate_interval`, at least four samples, and no less than a minute: a
        kubelet has new figures of its containers each 10 to 15 s, however often it is asked.
        """
        return max(self.step + self.scrape, 4 * self.scrape, 60.0)


@dataclass(frozen=True)
class Series:
    """One line."""

    name: str
    points: list[Point]


@dataclass(frozen=True)
class Panel:
    """One panel with what it shows."""

    title: str
    about: str
    unit: str
    """Grafana's name of it."""
    least: float | None = None
    """Where its axis begins and ends; None: where the values do."""
    most: float | None = None
    series: list[Series] = field(default_factory=list)
    """Those that have a value in the span."""
    errors: list[str] = field(default_factory=list)
    """Why queries got no answer: a variable without a value, or what Prometheus said."""


@dataclass(frozen=True)
class Dashboard:
    """One page, as it is in the cluster."""

    uid: str
    title: str
    about: str
    groups: list[str]
    """The groups of rules whose alerts belong on this page."""
    panels: list[Panel]


@dataclass(frozen=True)
class Alert:
    """Since when, and until when, an alert was pending or firing."""

    name: str
    state: str
    """`pending` or `firing`."""
    group: str
    """Of its rule; nothing where the rule is not there any more."""
    start: float
    end: float
    labels: dict[str, str]


def read(platform: Platform) -> list[dict[str, Any]]:
    """Every dashboard that a component brought, as it is written, by title.

    Raises:
        ClientError: there is none, or one is no JSON.
    """
    selector = ",".join(f"{name}={value}" for name, value in LABELS.items())
    found = platform.core.list_namespaced_config_map(outputs.NAMESPACE_MONITORING, label_selector=selector)
    texts = [(item.metadata.name, text) for item in found.items for text in (item.data or {}).values()]
    if not texts:
        raise ClientError(
            f"no ConfigMap of {outputs.NAMESPACE_MONITORING} is labelled {selector}",
            "provision the platform anew: seatrial up",
        )
    try:
        made = [json.loads(text) for _, text in texts]
    except ValueError as error:
        raise ClientError(
            f"a dashboard in {outputs.NAMESPACE_MONITORING} is no JSON: {error}", "mend it"
        ) from error
    return sorted(made, key=lambda each: str(each["title"]))


def span(platform: Platform, start: float, end: float) -> Span:
    """With the interval at which this platform's Prometheus takes samples."""
    settings = yaml.safe_load(platform.prometheus("status/config")["yaml"])
    return Span(start, end, duration(settings["global"]["scrape_interval"]))


def duration(text: str) -> float:
    """`1m30s` in seconds, as Prometheus writes it.

    Raises:
        ValueError: it is none.
    """
    if not re.fullmatch(rf"({_DURATION.pattern})+", text):
        raise ValueError(f"{text!r} is no duration of Prometheus, for example 1m30s")
    return sum(int(number) * _SECONDS[unit] for number, unit in _DURATION.findall(text))


def show(platform: Platform, dashboard: Mapping[str, Any], when: Span) -> Dashboard:
    """A dashboard with what its panels show in a span."""
    variables = of_dashboard(dashboard) | of_span(when)
    panels = [_panel(platform, each, variables, when) for each in dashboard["panels"] if "targets" in each]
    about = str(dashboard.get("description", ""))
    groups = [str(each) for each in dashboard.get("tags", ())]
    return Dashboard(str(dashboard["uid"]), str(dashboard["title"]), about, groups, panels)


def of_dashboard(dashboard: Mapping[str, Any]) -> dict[str, str]:
    """The variables of a dashboard that have one value; which source it is asked of is not for queries."""
    found = {}
    for each in dashboard.get("templating", {}).get("list", ()):
        value = each.get("current", {}).get("value", each.get("query"))
        if each.get("type") != "datasource" and isinstance(value, str):
            found[str(each["name"])] = value
    return found


def of_span(when: Span) -> dict[str, str]:
    """Grafana's own variables."""
    return {
        "__rate_interval": f"{math.ceil(when.rate_interval)}s",
        "__interval": f"{math.ceil(when.step)}s",
        "__range": f"{math.ceil(when.end - when.start)}s",
    }


def resolve(query: str, variables: Mapping[str, str]) -> str:
    """The query as Prometheus takes it.

    Raises:
        ClientError: it names a variable that has no value.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if name not in variables:
            raise ClientError(
                f"the query {query!r} has the variable {name}, which has no value",
                f"use one of: {', '.join(sorted(variables))}",
            )
        return variables[name]

    return _VARIABLE.sub(value, query)


def _panel(platform: Platform, panel: Mapping[str, Any], variables: Mapping[str, str], when: Span) -> Panel:
    looks = panel["fieldConfig"]["defaults"]
    made = Panel(
        str(panel["title"]),
        str(panel.get("description", "")),
        str(looks["unit"]),
        looks.get("min"),
        looks.get("max"),
    )
    for target in panel["targets"]:
        query = str(target["expr"])
        try:
            query = resolve(query, variables)
            answers = ask(platform, query, when)
        except ClientError as unknown:
            made.errors.append(unknown.what)
            continue
        except httpx.HTTPStatusError as error:
            made.errors.append(f"{complaint(error.response)}: {query}")
            continue
        for answer in answers:
            if points := finite(answer["values"]):
                name = named(str(target.get("legendFormat", "")), answer["metric"])
                made.series.append(Series(name, points))
    return made


def ask(platform: Platform, query: str, when: Span) -> list[dict[str, Any]]:
    """The series of one query by Prometheus's range API."""
    answer = platform.prometheus(
        "query_range", query=query, start=str(when.start), end=str(when.end), step=str(when.step)
    )
    series: list[dict[str, Any]] = answer["result"]
    return series


def complaint(response: httpx.Response) -> str:
    """What Prometheus says of a query that it refuses."""
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError):
        return f"HTTP {response.status_code}"


def finite(values: list[list[Any]]) -> list[Point]:
    """Without what is no number: a share of nothing, a quantile of no request."""
    points = [(float(when), float(value)) for when, value in values]
    return [(when, value) for when, value in points if math.isfinite(value)]


def named(legend: str, labels: Mapping[str, str]) -> str:
    """The name of a series as its panel wants it; labels where it says nothing."""
    if legend:
        return _LABEL_OF.sub(lambda match: labels.get(match[1], ""), legend).strip()
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()) if name != "__name__")


def alerts(platform: Platform, when: Span) -> list[Alert]:
    """Every alert that was pending or firing, by its beginning; of one that came back, each time.

    A pause of less than two points is none: between them nobody looked.
    """
    groups = platform.prometheus("rules", type="alert")["groups"]
    group_of = {rule["name"]: group["name"] for group in groups for rule in group["rules"]}
    found = []
    for answer in ask(platform, "ALERTS", when):
        labels = dict(answer["metric"])
        name, state = labels.pop("alertname"), labels.pop("alertstate")
        labels.pop("__name__", None)
        for first, last in _runs([float(moment) for moment, _ in answer["values"]], 2 * when.step):
            until = min(last + when.step, when.end)
            found.append(Alert(name, state, group_of.get(name, ""), first, until, labels))
    return sorted(found, key=lambda each: (each.start, each.name, each.state))


def _runs(moments: list[float], pause: float) -> list[tuple[float, float]]:
    """First and last of each run of moments that are less than `pause` apart."""
    runs: list[tuple[float, float]] = []
    for moment in moments:
        if runs and moment - runs[-1][1] < pause:
            runs[-1] = (runs[-1][0], moment)
        else:
            runs.append((moment, moment))
    return runs


def observed(platform: Platform, start: float, end: float) -> dict[str, Any]:
    """All dashboards and alerts of a span, as plain data for a report."""
    when = span(platform, start, end)
    return {
        "start": start,
        "end": end,
        "step": when.step,
        "dashboards": [asdict(show(platform, each, when)) for each in read(platform)],
        "alerts": [asdict(each) for each in alerts(platform, when)],
    }
