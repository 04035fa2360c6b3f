"""What the report shows of dashboards: read from the running platform, made ready for its template."""

import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from client import Platform, dashboards
from proofs import alarms, charts, panels, units

LEAST = 900.0
"""Seconds that are shown, however short the run was."""


def look(platform: Platform, began: float) -> dict[str, Any]:
    """What Prometheus saw since `began` (seconds since 1970), or why that cannot be told.

    A report without this section is better than none: whatever goes wrong here is told in it.
    """
    end = time.time()
    try:
        found = dashboards.observed(platform, min(began, end - LEAST), end)
        # What always fires tells nothing of this run.
        told = [each for each in found["alerts"] if each["name"] != alarms.HEARTBEAT]
        return found | {"alerts": told, "external_store": external_store(platform)}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def external_store(platform: Platform) -> bool:
    """Whether the object store is no Service of this cluster."""
    host = urlsplit(platform.access["AWS_ENDPOINT_URL"]).hostname or ""
    return not host.endswith(".svc.cluster.local")


def pages(seen: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each dashboard: its panels with chart and legend, how many are empty, and the alerts that fired."""
    return [_page(each, seen) for each in seen["dashboards"]]


def _page(dashboard: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, Any]:
    fired = [
        each
        for each in seen["alerts"]
        if each["state"] == "firing" and each["group"] and each["group"] in dashboard["groups"]
    ]
    made = [_panel(each, dashboard["uid"], seen, fired) for each in dashboard["panels"]]
    return {
        "title": dashboard["title"],
        "about": dashboard["about"],
        "panels": made,
        "empty": sum(each["chart"] is None for each in made),
        "fired": list(dict.fromkeys(each["name"] for each in fired)),
    }


def _panel(
    panel: Mapping[str, Any], uid: str, seen: Mapping[str, Any], fired: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    made: dict[str, Any] = {
        "title": panel["title"],
        "about": panel["about"],
        "errors": panel["errors"],
        "chart": None,
        "legend": [],
        "more": 0,
        "reason": panels.reason(uid, panel["title"], external_store=seen["external_store"]),
    }
    if panel["series"]:
        lines = charts.drawn(panel)
        highest = max(abs(value) for each in lines for _, value in each["points"])
        scale = units.scale(panel["unit"], highest)
        made["chart"] = charts.panel(panel, seen, fired)
        made["more"] = len(panel["series"]) - len(lines)
        made["legend"] = [
            (charts.colour(place), each["name"], scale.shown(each["points"][-1][1]))
            for place, each in enumerate(lines)
        ]
    return made
