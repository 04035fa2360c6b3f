"""What Prometheus says of alerts, and what of it arrived at the receiver."""

import time
from collections.abc import Collection
from dataclasses import dataclass
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


def arrived(platform: Platform, since: float, status: str) -> list[dict[str, Any]]:
    """What the receiver has of alerts that arrived first since then, newest first."""
    port = platform.forward(*RECEIVER).local_port
    asked: dict[str, Any] = {"since": since, "status": status, "most": 1000}
    answer = httpx.get(f"http://127.0.0.1:{port}/v1/alerts", params=asked, timeout=30, trust_env=False)
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


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


def rules(platform: Platform) -> dict[str, dict[str, Any]]:
    """The loaded alerts by name, each with the `interval` of its group; of two the one that waits less."""
    groups = platform.prometheus("rules", type="alert")["groups"]
    found = [{**rule, "interval": group["interval"]} for group in groups for rule in group["rules"]]
    return {rule["name"]: rule for rule in sorted(found, key=lambda rule: -rule["duration"])}


def delivers(platform: Platform) -> bool:
    """Whether Prometheus knows an Alertmanager.

    After it has read a changed configuration it knows none for up to 5 s. An alert that begins to fire just
    then is lost, and sent again a minute later (2.53, prometheus/prometheus#13064).
    """
    return bool(platform.prometheus("alertmanagers")["activeAlertmanagers"])


def ways(platform: Platform, alerts: Collection[str], since: float) -> list[Told]:
    """How each of these, which arrived, came from its condition to the receiver."""
    loaded, arrived, now = rules(platform), received(platform, since, "firing"), time.time()
    around = scrape_interval(platform) + group_wait(platform)
    return [
        Told(
            alert=alert,
            violated=first(platform, loaded[alert]["query"], since, now),
            pending=not loaded[alert]["duration"] or bool(series(platform, waits(alert), since, now)),
            received=arrived[alert],
            allowed=around + loaded[alert]["interval"] + loaded[alert]["duration"],
        )
        for alert in alerts
    ]


def waits(alert: str) -> str:
    """The query that has an answer while the alert waits to fire."""
    return f'ALERTS{{alertname="{alert}", alertstate="pending"}}'


def first(platform: Platform, query: str, since: float, until: float) -> float:
    """When a query has its first answer, to a second."""
    return min(float(entry["values"][0][0]) for entry in series(platform, query, since, until))


def series(platform: Platform, query: str, since: float, until: float) -> list[Any]:
    span = {"start": f"{since:.3f}", "end": f"{until:.3f}", "step": "1"}
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
