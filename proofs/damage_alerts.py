"""What faults do to the way of an alert: each breaks on entering, mends on leaving."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from kubernetes import client as k8s

from client import Platform, alerts, outputs
from client.waiting import until
from proofs import alarms
from proofs.damage import NAME, monitoring_object

ALERT = "MlflowDown"
RULES = "mlflow"
"""The PrometheusRule that it is in."""
LABEL = "app.kubernetes.io/part-of"
NOBODYS = "FaultNobodyCauses"
"""An alert that no proof has ever seen."""


@contextmanager
def muted(platform: Platform, alert: str = ALERT) -> Iterator[None]:
    """Somebody silenced an alert and forgot it."""
    made = alerts.silence(
        platform,
        alert,
        namespace=None,
        lasting=timedelta(hours=1),
        by="fault",
        reason="muted by mistake",
    )
    try:
        yield
    finally:
        alerts.unsilence(platform, made.id)


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


@contextmanager
def uncaused(platform: Platform) -> Iterator[None]:
    """Somebody has added an alert, and nothing that causes it."""
    rule = {"alert": NOBODYS, "expr": "vector(0) > 1"}
    spec = {"groups": [{"name": NAME, "rules": [rule]}]}

    def wait(loaded: bool) -> None:
        until(lambda: (NOBODYS in alarms.rules(platform)) == loaded, f"{NOBODYS} to be read or gone", 180)

    with monitoring_object(platform, "PrometheusRule", "prometheusrules", spec):
        wait(True)
        yield
    wait(False)
