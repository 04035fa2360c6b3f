"""When Deployments, StatefulSets, DaemonSets and ReplicationControllers are ready: all their pods are."""

from typing import Any

from local.provider.objects import Object, condition, pluck
from local.provider.readiness.verdict import READY, Verdict, observed, waiting


def deployment(obj: Object) -> Verdict:
    if not observed(obj):
        return waiting("waiting for the Deployment controller")
    if pluck(obj, "spec", "paused"):
        return READY
    wanted = _number(obj, "spec", "replicas", default=1)
    updated, total, available = (
        _number(obj, "status", key) for key in ("updatedReplicas", "replicas", "availableReplicas")
    )
    if updated < wanted:
        return waiting(_with_problem(obj, f"{updated} of {wanted} pods are of the new form"))
    if available < wanted:
        return waiting(_with_problem(obj, f"{available} of {wanted} pods are available"))
    if total > updated:
        return waiting(f"{total - updated} old pods are still there")
    return READY


def _with_problem(obj: Object, progress: str) -> str:
    for kind in ("ReplicaFailure", "Progressing"):
        entry = condition(obj, kind)
        if entry.get("status") == ("True" if kind == "ReplicaFailure" else "False"):
            return f"{progress} [{entry.get('reason')}] {entry.get('message')}"
    return progress


def stateful_set(obj: Object) -> Verdict:
    if not observed(obj):
        return waiting("waiting for the StatefulSet controller")
    wanted = _number(obj, "spec", "replicas", default=1)
    ready, updated = _number(obj, "status", "readyReplicas"), _number(obj, "status", "updatedReplicas")
    if ready < wanted:
        return waiting(f"{ready} of {wanted} pods are ready")
    if _number(obj, "status", "replicas") > wanted:
        return waiting(f"{_number(obj, 'status', 'replicas') - wanted} pods too many are still there")
    if pluck(obj, "spec", "updateStrategy", "type") == "OnDelete":
        return READY
    partition = _number(obj, "spec", "updateStrategy", "rollingUpdate", "partition")
    if updated < wanted - partition:
        return waiting(f"{updated} of {wanted - partition} pods are of the new form")
    revisions = [pluck(obj, "status", key) for key in ("currentRevision", "updateRevision")]
    if not partition and revisions[0] != revisions[1]:
        return waiting("waiting for the new revision to become the current one")
    return READY


def daemon_set(obj: Object) -> Verdict:
    if not observed(obj):
        return waiting("waiting for the DaemonSet controller")
    wanted = _number(obj, "status", "desiredNumberScheduled")
    updated, available = (
        _number(obj, "status", "updatedNumberScheduled"),
        _number(obj, "status", "numberAvailable"),
    )
    if updated < wanted:
        return waiting(f"{updated} of {wanted} pods are of the new form")
    if available < wanted:
        return waiting(f"{available} of {wanted} pods are available")
    return READY


def replication_controller(obj: Object) -> Verdict:
    wanted, available = (
        _number(obj, "spec", "replicas", default=1),
        _number(obj, "status", "availableReplicas"),
    )
    if not observed(obj) or available < wanted:
        return waiting(f"{available} of {wanted} pods are available")
    return READY


def _number(obj: Object, *path: str, default: int = 0) -> int:
    value: Any = pluck(obj, *path)
    return default if value is None else int(value)
