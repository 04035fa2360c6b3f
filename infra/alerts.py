"""Collects what each component says about its own watching: `components/<name>/alerts.yaml`."""

from pathlib import Path
from typing import Any

import yaml

COMPONENTS = Path(__file__).with_name("components")


def rules() -> dict[str, Any]:
    """For each component that has alerts, the content of a PrometheusRule."""
    return {
        file.parent.name.replace("_", "-"): yaml.safe_load(file.read_text())
        for file in sorted(COMPONENTS.glob("*/alerts.yaml"))
    }
