"""What alert rules have read, as Prometheus kept it: their tests learn what a live platform is like."""

import re
from itertools import groupby
from typing import Any

from client import Platform
from proofs import alarms

STEP = 30
"""Seconds between two values, as in the tests of the rules."""
CLOCK = "node_time_seconds"
_WORD = re.compile(r"[a-zA-Z_:][\w:]*")


def recorded(platform: Platform, began: float, ended: float) -> dict[str, Any]:
    """Times in seconds, `began` since 1970; the `alerts` that were loaded; and `series`: by name and labels
    its values from then until then, each with how often it came in a row; None where there was none.
    """
    rules = [rule for group in platform.prometheus("rules")["groups"] for rule in group["rules"]]
    loaded = sorted({rule["name"] for rule in rules if rule["type"] == "alerting"})
    found = {}
    for name in read(rules, platform.prometheus("label/__name__/values")):
        found |= values(platform, name, began, ended)
    return {"began": round(began), "step": STEP, "alerts": loaded, "series": found}


def read(rules: list[dict[str, Any]], metrics: list[str]) -> list[str]:
    """The metrics that rules read and do not make themselves."""
    words = {word for rule in rules for word in _WORD.findall(rule["query"])}
    return sorted((words & set(metrics)) - {rule["name"] for rule in rules} - {"ALERTS"})


def values(platform: Platform, name: str, began: float, ended: float) -> dict[str, Any]:
    """Of each series of a metric."""
    # A clock is read at a scrape, and says at each step what it would have said then.
    query = f"{name} - timestamp({name}) + time()" if name == CLOCK else name
    places = range(int((ended - began) / STEP) + 1)
    found = {}
    for each in alarms.series(platform, query, began, ended, STEP):
        known = {round((at - began) / STEP): float(value) for at, value in each["values"]}
        found[_series(name, each["metric"])] = _runs([known.get(place) for place in places])
    return found


def _series(name: str, metric: dict[str, str]) -> str:
    labels = ", ".join(f'{label}="{value}"' for label, value in sorted(metric.items()) if label != "__name__")
    return f"{name}{{{labels}}}"


def _runs(values: list[float | None]) -> list[tuple[float | None, int]]:
    return [(value, len(list(same))) for value, same in groupby(values)]
