"""What makes Prometheus read a workload: its PodMonitor, and `alerts.yaml` beside its manifest as a
PrometheusRule.
"""

from pathlib import Path
from typing import Any

import yaml

PART_OF = {"app.kubernetes.io/part-of": "seatrial"}
"""Prometheus looks for monitors and rules with this label."""


Object = dict[str, Any]


def monitor(metadata: Object, **endpoint: Any) -> Object:
    """The PodMonitor of the pods that have the metadata's name as a label; `endpoint` is what is read of
    them, at least the name of a `port`.
    """
    spec = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": metadata["name"]}},
        "podMetricsEndpoints": [endpoint],
    }
    return _found("PodMonitor", metadata, spec)


def rules(manifest: str, metadata: Object, usual: str, own: str) -> Object:
    """The PrometheusRule of the workload whose manifest that is (its `__file__`).

    The file speaks of the workload as it is deployed without further words. Under another name it has alerts
    of its own: the matcher `usual`, which says whose series are meant, becomes `own`.
    """
    text = Path(manifest).with_name("alerts.yaml").read_text()
    return _found("PrometheusRule", metadata, yaml.safe_load(text.replace(usual, own)))


def series_of(name: str, namespace: str = "workloads") -> str:
    """The matcher of what the PodMonitor of that name reads."""
    return f'namespace="{namespace}", job="{namespace}/{name}"'


def _found(kind: str, metadata: Object, spec: Object) -> Object:
    marked = {**metadata, "labels": {**metadata["labels"], **PART_OF}}
    return {"apiVersion": "monitoring.coreos.com/v1", "kind": kind, "metadata": marked, "spec": spec}
