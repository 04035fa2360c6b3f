"""What faults do to what is watched: each breaks on entering, mends on leaving."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from kubernetes import client as k8s

from client import Platform, dashboards, outputs

NAME = "probe-panel-of-nobody"
METRIC = "seatrial_nobody_has_this_total"


@contextmanager
def panel_of_nobody(platform: Platform) -> Iterator[None]:
    """A page asks for a metric that nobody has, as after a renaming."""
    panel = {
        "title": "Renamed",
        "fieldConfig": {"defaults": {"unit": "short"}},
        "targets": [{"expr": f"sum(rate({METRIC}[$__rate_interval]))"}],
    }
    page = {"uid": NAME, "title": "Probe", "panels": [panel]}
    config_map = {
        "metadata": {"name": NAME, "labels": dashboards.LABELS},
        "data": {f"{NAME}.json": json.dumps(page)},
    }
    _forget(platform)  # One that was killed may have left it.
    platform.core.create_namespaced_config_map(outputs.NAMESPACE_MONITORING, config_map)
    try:
        yield
    finally:
        _forget(platform)


def _forget(platform: Platform) -> None:
    try:
        platform.core.delete_namespaced_config_map(NAME, outputs.NAMESPACE_MONITORING)
    except k8s.ApiException as error:
        if error.status != 404:
            raise
