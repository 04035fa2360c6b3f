"""Collects how each component is seen: `components/<name>/dashboard.json`, in Grafana's own schema."""

from collections.abc import Collection
from pathlib import Path

from infra.parts import Part, left_out

COMPONENTS = Path(__file__).with_name("components")


def files(parts: Collection[Part]) -> dict[str, str]:
    """For each component of these parts that has a dashboard, its text as it is written."""
    return {
        file.parent.name.replace("_", "-"): file.read_text()
        for file in sorted(COMPONENTS.glob("*/dashboard.json"))
        if not left_out(file.parent.name, parts)
    }
