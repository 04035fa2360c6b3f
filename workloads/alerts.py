"""The alerts that a workload brings: `alerts.yaml` beside its manifest, as a PrometheusRule."""

from pathlib import Path
from typing import Any

import yaml

PART_OF = {"app.kubernetes.io/part-of": "seatrial"}
"""Prometheus looks for monitors and rules with this label."""


def rules(manifest: str, metadata: dict[str, Any], usual: str, own: str) -> dict[str, Any]:
    """The PrometheusRule of the workload whose manifest that is (its `__file__`).

    The file speaks of the workload as it is deployed without further words. Under another name it has alerts
    of its own: the matcher `usual`, which says whose series are meant, becomes `own`.
    """
    text = Path(manifest).with_name("alerts.yaml").read_text()
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {**metadata, "labels": {**metadata["labels"], **PART_OF}},
        "spec": yaml.safe_load(text.replace(usual, own)),
    }


def series_of(name: str, namespace: str = "workloads") -> str:
    """The matcher of what the PodMonitor of that name reads."""
    return f'namespace="{namespace}", job="{namespace}/{name}"'
