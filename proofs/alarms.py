"""What Prometheus says of alerts, and what of it arrived at the receiver."""

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pandas as pd
from kubernetes import client as k8s

from client import Platform, outputs

RECEIVER = (outputs.NAMESPACE_WORKLOADS, "receive-alerts", 80)
HEARTBEAT = "Watchdog"


@dataclass(frozen=True)
class Told:
    """The way of one alert; times in seconds since 1970."""

    alert: str
    violated: float
    """When its condition held first."""
    pending: bool
    """Whether it was seen waiting before it fired, or need not wait."""
    received: float
    allowed: float
    """Seconds from one to the other that the settings allow: scrape, evaluation, `for` and group wait."""

    @property
    def took(self) -> float:
        return self.received - self.violated

    def figures(self) -> dict[str, Any]:
        """For the report."""
        return {**asdict(self), "took": self.took}


def arrived(platform: Platform, since: float, status: str) -> list[dict[str, Any]]:
    """What the receiver has of alerts that arrived first since then, newest first."""
    answer = _asked(platform, "/v1/alerts", since=since, status=status, most=1000)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


def heartbeat(platform: Platform) -> dict[str, Any]:
    """What the receiver says of it: `alive`, `last` (seconds since 1970), `silence_seconds`."""
    found: dict[str, Any] = _asked(platform, "/v1/heartbeat").json()
    return found


def _asked(platform: Platform, path: str, **asked: Any) -> httpx.Response:
    port = platform.forward(*RECEIVER).local_port
    return httpx.get(f"http://127.0.0.1:{port}{path}", params=asked, timeout=30, trust_env=False)


def received(platform: Platform, since: float, status: str) -> dict[str, float]:
    """By alert when it arrived first, since then."""
    found: dict[str, float] = {}
    for entry in arrived(platform, since, status):
        found[entry["alertname"]] = min(entry["received"], found.get(entry["alertname"], entry["received"]))
    return found


def firing(platform: Platform) -> set[str]:
    """What fires now, but for the heartbeat."""
    alerts = platform.prometheus("alerts")["alerts"]
    return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"} - {HEARTBEAT}


@dataclass(frozen=True)
class Fired:
    """An alert that fired, perhaps for a moment only."""

    alert: str
    labels: dict[str, str]
    at: float
    """Seconds since 1970."""
    value: float | None
    """Of its rule's query then; None where that says nothing any more."""

    def __str__(self) -> str:
        labels = ", ".join(f"{name}={value}" for name, value in self.labels.items() if name != "alertname")
        when = datetime.fromtimestamp(self.at, UTC)
        return f"{self.alert}({labels}) at {when:%H:%M:%S} UTC, value {self.value}"


def fired(platform: Platform, since: float, until: float) -> list[Fired]:
    """What fired from then until then, also what is over, in its order; the heartbeat does not count."""
    query = f'ALERTS{{alertstate="firing", alertname!="{HEARTBEAT}"}}'
    found = [(float(each["values"][0][0]), named(each)) for each in series(platform, query, since, until)]
    return [
        Fired(labels["alertname"], labels, at, value(platform, labels, at))
        for at, labels in sorted(found, key=lambda each: each[0])
    ]


def value(platform: Platform, labels: dict[str, str], at: float) -> float | None:
    """Of an alert's query, then and with these labels."""
    rule = rules(platform).get(labels["alertname"])
    if rule is None:
        return None
    answer = platform.prometheus("query", query=rule["query"], time=f"{at:.3f}")["result"]
    fitting = [each["value"][1] for each in answer if named(each).items() <= labels.items()]
    return float(fitting[0]) if fitting else None


def named(entry: dict[str, Any]) -> dict[str, str]:
    """The labels of a series that say what it is about."""
    return {name: value for name, value in entry["metric"].items() if name not in ("__name__", "alertstate")}


def pending(platform: Platform, since: float, until: float) -> list[dict[str, Any]]:
    """The alerts that waited to fire meanwhile, each with its labels and for how many seconds."""
    found = series(platform, 'ALERTS{alertstate="pending"}', since, until)
    return [{**named(each), "seconds": len(each["values"])} for each in found]


def rules(platform: Platform, having: str = "") -> dict[str, dict[str, Any]]:
    """The loaded alerts whose expression has `having` in it, by name, each with the `interval` of its group;
    of two the one that waits less.
    """
    groups = platform.prometheus("rules", type="alert")["groups"]
    found = [
        {**rule, "interval": group["interval"]}
        for group in groups
        for rule in group["rules"]
        if having in rule["query"]
    ]
    return {rule["name"]: rule for rule in sorted(found, key=lambda rule: -rule["duration"])}


def health(platform: Platform, name: str) -> str | None:
    """How Prometheus finds a rule: ok, err, unknown; None where it has no such rule."""
    groups = platform.prometheus("rules")["groups"]
    return next((rule["health"] for group in groups for rule in group["rules"] if rule["name"] == name), None)


def delivers(platform: Platform) -> bool:
    """Whether Prometheus knows an Alertmanager.

    After it has read a changed configuration it knows none for up to 5 s. An alert that begins to fire just
    then is lost, and sent again a minute later (2.53, prometheus/prometheus#13064).
    """
    return bool(platform.prometheus("alertmanagers")["activeAlertmanagers"])


def ways(platform: Platform, alerts: Collection[str], since: float) -> list[Told]:
    """How each of these, which arrived, came from its condition to the receiver."""
    loaded, arrived = rules(platform), received(platform, since, "firing")
    around = allowed_around(platform)
    return [way(platform, loaded[alert], arrived[alert], since, around) for alert in alerts]


def way(platform: Platform, rule: dict[str, Any], arrived: float, since: float, around: float) -> Told:
    """How the alert of a loaded rule, which arrived then, came there; `around` is `allowed_around`."""
    now = time.time()
    return Told(
        alert=rule["name"],
        violated=first(platform, rule["query"], since, now),
        pending=not rule["duration"] or bool(series(platform, waits(rule["name"]), since, now)),
        received=arrived,
        allowed=around + rule["interval"] + rule["duration"],
    )


def allowed_around(platform: Platform) -> float:
    """Seconds that the settings allow before an alert's rule and after it: a scrape, and the group wait."""
    return scrape_interval(platform) + group_wait(platform)


def waits(alert: str) -> str:
    """The query that has an answer while the alert waits to fire."""
    return f'ALERTS{{alertname="{alert}", alertstate="pending"}}'


def first(platform: Platform, query: str, since: float, until: float) -> float:
    """When a query has its first answer, to a second."""
    return min(float(entry["values"][0][0]) for entry in series(platform, query, since, until))


def series(platform: Platform, query: str, since: float, until: float, step: int = 1) -> list[Any]:
    """What a query says at each second, or every `step` seconds."""
    span = {"start": f"{since:.3f}", "end": f"{until:.3f}", "step": str(step)}
    found: list[Any] = platform.prometheus("query_range", query=query, **span)["result"]
    return found


def scrape_interval(platform: Platform) -> float:
    """Seconds."""
    found = k8s.CustomObjectsApi(platform.api).get_namespaced_custom_object(
        "monitoring.coreos.com", "v1", outputs.NAMESPACE_MONITORING, "prometheuses", outputs.PROMETHEUS
    )
    return pd.Timedelta(found["spec"]["scrapeInterval"]).total_seconds()


def group_wait(platform: Platform) -> float:
    """Seconds."""
    found = k8s.CustomObjectsApi(platform.api).get_namespaced_custom_object(
        "monitoring.coreos.com", "v1alpha1", outputs.NAMESPACE_MONITORING, "alertmanagerconfigs", "platform"
    )
    return pd.Timedelta(found["spec"]["route"]["groupWait"]).total_seconds()
