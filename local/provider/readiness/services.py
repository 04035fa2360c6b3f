"""When Services and Ingresses are ready: they have their address, and reach the pods they select."""

import time
from typing import Final

from local.provider import objects
from local.provider.errors import NotReady
from local.provider.objects import Object, pluck
from local.provider.readiness.verdict import READY, Verdict, waiting
from local.provider.readiness.wait import TICK, not_ready, wait_for
from local.provider.session import Session
from local.provider.watch import Watch

_SETTLE_SECONDS: Final = 10.0
"""How long a Service without any pod is given to get one; then it counts as made for pods that come later."""


def service(obj: Object) -> Verdict:
    """The Service itself, without its pods."""
    if pluck(obj, "spec", "type") == "LoadBalancer" and not _addresses(obj):
        return waiting("waiting for the load balancer's address (does this cluster have load balancers?)")
    return READY


def ingress(obj: Object) -> Verdict:
    if _addresses(obj):
        return READY
    return waiting("waiting for an ingress controller to give it an address (does this cluster have one?)")


def _addresses(obj: Object) -> bool:
    return bool(pluck(obj, "status", "loadBalancer", "ingress"))


def wait_for_service(session: Session, urn: str, live: Object, deadline: float) -> Object:
    live = wait_for(session, urn, live, service, deadline)
    if _selects_pods(live):
        _wait_for_pods(session, urn, live, deadline)
        session.engine.status(urn, "")
    return live


def _selects_pods(obj: Object) -> bool:
    spec = obj.get("spec") or {}
    return (
        bool(spec.get("selector")) and spec.get("clusterIP") != "None" and spec.get("type") != "ExternalName"
    )


def endpoints(slices: list[Object]) -> tuple[int, int]:
    """How many endpoints are ready, and how many are to come."""
    ready = pending = 0
    for entry in slices:
        for endpoint in entry.get("endpoints") or []:
            conditions = endpoint.get("conditions") or {}
            if conditions.get("ready", True):
                ready += 1
            elif not conditions.get("terminating"):
                pending += 1
    return ready, pending


def _wait_for_pods(session: Session, urn: str, live: Object, deadline: float) -> None:
    namespace, name = objects.namespace(live), objects.name(live)
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    slices: dict[str, Object] = {}
    changed = time.monotonic()
    with Watch(session.api, path, {"labelSelector": f"kubernetes.io/service-name={name}"}) as watch:
        while True:
            ready, pending = endpoints(list(slices.values()))
            if ready and not pending:
                return
            if not pending and time.monotonic() - changed >= _SETTLE_SECONDS:
                return
            session.engine.status(
                urn, f"{pending} of its pods are not ready" if pending else "looking for its pods"
            )
            event = watch.next(_patience(session, live, deadline, pending))
            if event is None:
                continue
            kind, seen = event
            changed = time.monotonic()
            if kind == "DELETED":
                slices.pop(objects.name(seen), None)
            else:
                slices[objects.name(seen)] = seen


def _patience(session: Session, live: Object, deadline: float, pending: int) -> float:
    if session.cancelled.is_set():
        raise NotReady(f"cancelled: {objects.title(live)} was waiting for its pods", live)
    left = deadline - time.monotonic()
    if left <= 0:
        what = (
            f"{pending} of the pods that it selects are not ready"
            if pending
            else "no pod matches its selector"
        )
        raise not_ready(session, live, what)
    return min(TICK, left)
