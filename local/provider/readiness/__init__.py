"""When an object counts as made: what each kind promises, and what its annotations ask for instead."""

from typing import Final

from local.provider import objects
from local.provider.objects import Object
from local.provider.readiness import accounts, jobs, services, storage, workloads
from local.provider.readiness.diagnosis import diagnose
from local.provider.readiness.verdict import Check
from local.provider.readiness.wait import wait_for
from local.provider.readiness.waitfor import custom
from local.provider.session import Session

_CHECKS: Final[dict[str, Check]] = {
    "apps/v1/DaemonSet": workloads.daemon_set,
    "apps/v1/Deployment": workloads.deployment,
    "apps/v1/StatefulSet": workloads.stateful_set,
    "batch/v1/Job": jobs.job,
    "networking.k8s.io/v1/Ingress": services.ingress,
    "v1/PersistentVolume": storage.volume,
    "v1/Pod": jobs.pod,
    "v1/ReplicationController": workloads.replication_controller,
    "v1/ResourceQuota": accounts.quota,
    "v1/Secret": accounts.secret,
}
"""ServiceAccounts are ready at once: since 1.24 no controller adds a Secret to them."""

_READ: Final = frozenset({"DaemonSet", "Deployment", "Ingress", "Job", "Pod", "StatefulSet"})
"""The kinds of which a refresh says that they are not ready (any more)."""


def await_ready(session: Session, urn: str, inputs: Object, live: Object, deadline: float) -> Object:
    """The object once it is ready."""
    if objects.is_true(inputs, objects.SKIP_AWAIT):
        return live
    if asked := objects.annotation(inputs, objects.WAIT_FOR):
        return wait_for(session, urn, live, custom(asked), deadline)
    kind = f"{live.get('apiVersion')}/{live.get('kind')}"
    if kind == "v1/Service":
        return services.wait_for_service(session, urn, live, deadline)
    if kind == "v1/PersistentVolumeClaim":
        return wait_for(session, urn, live, storage.claim(session), deadline)
    check = _CHECKS.get(kind)
    return live if check is None else wait_for(session, urn, live, check, deadline)


def point_in_time(session: Session, inputs: Object, live: Object) -> tuple[str, list[str]] | None:
    """What is wrong with the object right now, or None."""
    kind = f"{live.get('apiVersion')}/{live.get('kind')}"
    if live.get("kind") not in _READ or objects.is_true(inputs, objects.SKIP_AWAIT) or kind not in _CHECKS:
        return None
    asked = objects.annotation(inputs, objects.WAIT_FOR)
    verdict = (custom(asked) if asked else _CHECKS[kind])(live)
    if verdict.ready:
        return None
    return f"{objects.title(live)}: {verdict.message}", [verdict.message, *diagnose(session, live)]


__all__ = ["await_ready", "point_in_time"]
