"""Dashboards as objects: a ConfigMap each, by whose label Grafana and reports find it."""

from collections.abc import Mapping

from infra import kube

LABEL = {"grafana_dashboard": "1"}


def config_maps(dashboards: Mapping[str, str], namespace: str) -> list[kube.Manifest]:
    """`dashboards`: component → content of its dashboard.json."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": kube.metadata(
                f"dashboard-{component}", namespace, component="monitoring", labels=LABEL
            ),
            # Grafana's sidecar puts all files into one folder.
            "data": {f"{component}.json": text},
        }
        for component, text in dashboards.items()
    ]
