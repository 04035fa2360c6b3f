"""Collects what each component says about its own watching: `components/<name>/alerts.yaml`."""

import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from infra.parts import Part, left_out

COMPONENTS = Path(__file__).with_name("components")


UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0, "y": 31536000.0}


def rules(
    parts: Collection[Part], elsewhere: Collection[str] = (), longest_for: str | None = None
) -> dict[str, Any]:
    """For each component of these parts that has alerts, the content of a PrometheusRule.

    Of a component that somebody else runs (`elsewhere`) there is nothing here that could be watched. No alert
    has to hold for longer than `longest_for` before it fires.
    """
    return {
        file.parent.name.replace("_", "-"): _hastened(yaml.safe_load(file.read_text()), longest_for)
        for file in sorted(COMPONENTS.glob("*/alerts.yaml"))
        if not left_out(file.parent.name, parts) and file.parent.name not in elsewhere
    }


def _hastened(spec: dict[str, Any], longest_for: str | None) -> dict[str, Any]:
    for rule in (rule for group in spec["groups"] for rule in group["rules"]):
        if longest_for and "for" in rule:
            rule["for"] = min(rule["for"], longest_for, key=seconds)
    return spec


def seconds(duration: str) -> float:
    """Of a span of time as Prometheus writes it, such as `90s` or `1h30m`."""
    return sum(int(number) * UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", duration))
