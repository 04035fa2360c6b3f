"""What alert rules have read, as Prometheus kept it: their tests learn what a live platform is like."""

import re
from itertools import groupby
from typing import Any

from client import Platform

STEP = 30
"""Seconds between two values, as in the tests of the rules."""
_WORD = re.compile(r"[a-zA-Z_:][\w:]*")


def recorded(platform: Platform, began: float, ended: float) -> dict[str, Any]:
    """Times in seconds, `began` since 1970, and `series`: by name and labels its values from then until then,
    each with how often it came in a row; None where there was none.
    """
    span = {"start": f"{began:.3f}", "end": f"{ended:.3f}", "step": str(STEP)}
    places = range(int((ended - began) / STEP) + 1)
    found = {}
    for name in read(platform):
        for each in platform.prometheus("query_range", query=name, **span)["result"]:
            values = {round((at - began) / STEP): float(value) for at, value in each["values"]}
            found[_series(each["metric"])] = _runs([values.get(place) for place in places])
    return {"began": round(began), "step": STEP, "series": found}


def read(platform: Platform) -> list[str]:
    """The metrics that loaded rules read and do not make themselves."""
    rules = [rule for group in platform.prometheus("rules")["groups"] for rule in group["rules"]]
    words = {word for rule in rules for word in _WORD.findall(rule["query"])}
    made = {rule["name"] for rule in rules} | {"ALERTS", "ALERTS_FOR_STATE"}
    return sorted((words & set(platform.prometheus("label/__name__/values"))) - made)


def _series(metric: dict[str, str]) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in sorted(metric.items()) if name != "__name__")
    return f"{metric['__name__']}{{{labels}}}"


def _runs(values: list[float | None]) -> list[tuple[float | None, int]]:
    return [(value, len(list(same))) for value, same in groupby(values)]
