"""Collects what each component says about its own watching: `components/<name>/alerts.yaml`."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from infra.parts import Part, left_out

COMPONENTS = Path(__file__).with_name("components")


def rules(parts: Collection[Part], elsewhere: Collection[str] = ()) -> dict[str, Any]:
    """For each component of these parts that has alerts, the content of a PrometheusRule.

    Of a component that somebody else runs (`elsewhere`) there is nothing here that could be watched.
    """
    return {
        file.parent.name.replace("_", "-"): yaml.safe_load(file.read_text())
        for file in sorted(COMPONENTS.glob("*/alerts.yaml"))
        if not left_out(file.parent.name, parts) and file.parent.name not in elsewhere
    }
