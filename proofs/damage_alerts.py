"""What faults do to the way of an alert: each breaks on entering, mends on leaving."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from kubernetes import client as k8s

from client import Platform, outputs
from client.waiting import until
from proofs import alarms

ALERT = "MlflowDown"
RULES = "mlflow"
"""The PrometheusRule that it is in."""
LABEL = "app.kubernetes.io/part-of"


@contextmanager
def muted(platform: Platform) -> Iterator[None]:
    """Somebody silenced an alert and forgot it."""
    now = datetime.now(UTC)
    silence = {
        "matchers": [{"name": "alertname", "value": ALERT, "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "fault",
        "comment": "muted by mistake",
    }
    number = _alertmanager(platform, "POST", "silences", json=silence).json()["silenceID"]
    try:
        yield
    finally:
        _alertmanager(platform, "DELETE", f"silence/{number}")


def _alertmanager(platform: Platform, method: str, path: str, **more: Any) -> httpx.Response:
    port = platform.forward(outputs.NAMESPACE_MONITORING, "alertmanager", 9093).local_port
    url = f"http://127.0.0.1:{port}/api/v2/{path}"
    answer = httpx.request(method, url, timeout=30, trust_env=False, **more)
    answer.raise_for_status()
    return answer


@contextmanager
def unheard(platform: Platform) -> Iterator[None]:
    """The rules of a component lack the label by which Prometheus finds them."""
    custom = k8s.CustomObjectsApi(platform.api)
    place = ("monitoring.coreos.com", "v1", outputs.NAMESPACE_MONITORING, "prometheusrules", RULES)
    label = custom.get_namespaced_custom_object(*place)["metadata"]["labels"][LABEL]

    def mark(value: str | None) -> None:
        custom.patch_namespaced_custom_object(*place, {"metadata": {"labels": {LABEL: value}}})
        loaded = value is not None
        until(lambda: (ALERT in alarms.rules(platform)) == loaded, f"the rules of {RULES} to be read", 180)

    try:
        mark(None)
        yield
    finally:
        mark(label)
