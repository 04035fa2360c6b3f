"""How each alert is caused that is not about a server that is gone (those are in `outages`)."""

from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import workloads
from proofs import alarms, causes_objects, causes_requests, outages
from proofs.causes_reported import WELL, reported
from proofs.exporter import watched
from proofs.scene import Scene

DRIFT = ("FeatureDrifts", "PredictionsDrift", "DriftDetectorStarved", "SchemaChanged")
"""What the drift watch says; the proofs of the subject `drift` cause it."""
BRINGS = ("ship_predictions", "react")
"""Workloads that bring alerts and need not run here: the proof brings their rules."""


@dataclass(frozen=True)
class Cause:
    how: str
    """What is done, in a few words."""
    begins: Callable[[Scene], AbstractContextManager[None]]
    """Does it on entering and ends it on leaving."""


def _reported(alert: str, what: str) -> Cause:
    return Cause(f"reported: {what}", partial(reported, alert=alert))


_ROUTE = Cause(
    "a route of the proof's own leads to a server that answers each request with 503",
    causes_requests.route_fails,
)
CAUSES = {
    # While Prometheus reads another configuration an alert may be lost: nothing else is wrong yet.
    "RuleEvaluationFails": Cause("a rule of the proof's own cannot be evaluated", causes_objects.rule_fails),
    # Whose windows are ten minutes come next: they end last.
    "TrinoQueriesFail": Cause(
        "eight queries read a view at which PostgreSQL fails", causes_requests.queries_fail
    ),
    "TrinoOutOfMemory": Cause(
        "a query counts a million orders with 1 MB of memory", causes_requests.query_needs_too_much
    ),
    "ModelRefusesRequests": Cause(
        "a served model is asked without its columns", causes_requests.model_refuses
    ),
    "ModelFails": Cause(
        "a served model raises an error at the flights that it is asked about", causes_requests.model_fails
    ),
    "GatewayErrors": _ROUTE,
    "RouteErrors": _ROUTE,
    "MlflowErrors": Cause(
        "a run's artifact is asked for that the object store does not have", causes_requests.mlflow_fails
    ),
    "ModelServerDown": Cause(
        "a pod with the label of a served model listens to nobody", causes_objects.model_is_deaf
    ),
    "TargetDown": Cause("a page that Prometheus reads is answered with 503", causes_objects.target_refuses),
    "CertificateExpires": Cause(
        "a Certificate of a day has an hour left, and its Issuer is not there",
        causes_objects.certificate_ends,
    ),
    "CertificateNotReady": Cause(
        "a Certificate is asked of an Issuer that is not there", causes_objects.certificate_is_not_made
    ),
    "PrometheusStorageFills": _reported("PrometheusStorageFills", "a full volume of Prometheus"),
    "ObjectStoreVolumeFills": _reported("ObjectStoreVolumeFills", "a full volume of the object store"),
    "PostgresqlVolumeFills": _reported("PostgresqlVolumeFills", "a full volume of PostgreSQL"),
    "NodeDiskFills": _reported("NodeDiskFills", "a node's full file system"),
    "NodeMemoryShort": _reported("NodeMemoryShort", "a node without free memory"),
    "NodeClockSkew": _reported("NodeClockSkew", "a node's clock that shows 1970"),
    "FeedbackStalls": _reported("FeedbackStalls", "a lake that is an hour behind the log"),
    "LiveQualityFalls": _reported("LiveQualityFalls", "a version that is less often right than it was"),
    "ReactionFails": _reported("ReactionFails", "a reaction that has been undone for ten hours"),
}
"""By alert."""


def uncaused(alerts: Collection[str]) -> set[str]:
    """Those of them that nothing causes: nobody has seen them fire."""
    known = {alarms.HEARTBEAT, outages.WITHOUT_TARGETS, *DRIFT, *outages.DEAD, *CAUSES}
    return set(alerts) - known


@contextmanager
def begun(scene: Scene, alerts: Collection[str]) -> Iterator[None]:
    """What causes these alerts goes on meanwhile, each cause once."""
    with ExitStack() as stack:
        for cause in dict.fromkeys(cause for alert, cause in CAUSES.items() if alert in alerts):
            stack.enter_context(cause.begins(scene))
        yield


def brought(image: str) -> list[dict[str, Any]]:
    """The rules of workloads that need not run here, under names of the proof's own."""
    found = []
    for workload in BRINGS:
        for each in workloads.manifest(workload, image):
            if each["kind"] == "PrometheusRule":
                name = f"probe-{each['metadata']['name']}"
                rules = [rule for group in each["spec"]["groups"] for rule in group["rules"]]
                spec = {"groups": [{"name": name, "rules": rules}]}
                found.append(watched(each["apiVersion"], each["kind"], name, spec))
    return found


def alerts_of(rules: Collection[dict[str, Any]]) -> set[str]:
    """The alerts in PrometheusRules."""
    return {rule["alert"] for item in rules for group in item["spec"]["groups"] for rule in group["rules"]}


def calm(scene: Scene) -> None:
    """Nothing is wrong yet, and what must not be silent says so."""
    for alert, series in WELL.items():
        scene.exporter.report(alert, series)
