"""What faults do to the way of an alert: each breaks on entering, mends on leaving."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta

from kubernetes import client as k8s

from client import Platform, alerts, outputs
from client.waiting import until
from proofs import alarms
from proofs.damage import NAME, monitoring_object
from proofs.subjects import monitoring_calm

ALERT = "MlflowDown"
RULES = "mlflow"
"""The PrometheusRule that it is in."""
LABEL = "app.kubernetes.io/part-of"
NOBODYS = "FaultNobodyCauses"
"""An alert that no proof has ever seen."""
NERVOUS = "FaultNervous"


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


def uncaused(platform: Platform) -> AbstractContextManager[None]:
    """Somebody has added an alert, and nothing that causes it."""
    return added(platform, NOBODYS, "vector(0) > 1")


def nervous(platform: Platform) -> AbstractContextManager[None]:
    """Somebody has added an alert with a limit that ordinary work exceeds: a query has ended."""
    return added(
        platform,
        NERVOUS,
        'increase(trino_execution_name_QueryManager_CompletedQueries{job="trino"}[1m]) > 0',
    )


@contextmanager
def added(platform: Platform, alert: str, expression: str) -> Iterator[None]:
    """One more alert, which need not hold for any time."""
    spec = {"groups": [{"name": NAME, "rules": [{"alert": alert, "expr": expression}]}]}

    def wait(loaded: bool) -> None:
        until(lambda: (alert in alarms.rules(platform)) == loaded, f"{alert} to be read or gone", 180)

    with monitoring_object(platform, "PrometheusRule", "prometheusrules", spec):
        wait(True)
        yield
    wait(False)


@contextmanager
def calm_for(minutes: float) -> Iterator[None]:
    """The proof that nothing is told under load lasts so long meanwhile."""
    usual = monitoring_calm.MINUTES
    monitoring_calm.MINUTES = minutes
    try:
        yield
    finally:
        monitoring_calm.MINUTES = usual
