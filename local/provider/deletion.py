"""Deletes an object and waits until it is gone; what holds it back is named."""

import time
from typing import Final

from local.provider import objects
from local.provider.errors import ApiError, Cancelled, NotReady
from local.provider.objects import Object, pluck
from local.provider.session import Session
from local.provider.watch import Watch

_TICK: Final = 1.0
_NOT_AWAITED: Final = frozenset(
    {"Namespace", "Pod", "ReplicationController", "DaemonSet", "Deployment", "StatefulSet", "Job"}
)
"""The kinds that `skipAwait` does not wait for when deleting, as with the official provider."""


_OWN_NOTHING: Final = frozenset(
    {
        "ClusterRole",
        "ClusterRoleBinding",
        "ConfigMap",
        "LimitRange",
        "NetworkPolicy",
        "PriorityClass",
        "ResourceQuota",
        "Role",
        "RoleBinding",
        "Secret",
        "ServiceAccount",
        "StorageClass",
    }
)
"""No controller makes these an owner, so there is nothing to wait for in the foreground. The garbage
collector, which a foreground deletion waits for, manages about ten objects a second."""


def delete_object(session: Session, urn: str, path: str, inputs: Object, deadline: float) -> None:
    """Delete what is at `path`; an object that is gone already is a success."""
    options = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": _propagation(inputs)}
    try:
        answer = session.api.request("DELETE", path, body=options)
    except ApiError as error:
        if error.not_found:
            return
        raise
    if not pluck(answer, "metadata", "deletionTimestamp"):
        return
    if objects.is_true(inputs, objects.SKIP_AWAIT) and objects.kind_of(inputs).kind in _NOT_AWAITED:
        return
    _until_gone(session, urn, path, answer, deadline)
    session.engine.status(urn, "")


def _propagation(inputs: Object) -> str:
    given = objects.annotation(inputs, objects.PROPAGATION).lower()
    default = "Background" if objects.kind_of(inputs).kind in _OWN_NOTHING and not given else "Foreground"
    return {"orphan": "Orphan", "background": "Background"}.get(given, default)


def _until_gone(session: Session, urn: str, path: str, obj: Object, deadline: float) -> None:
    collection, _, name = path.rpartition("/")
    uid, version = obj["metadata"]["uid"], obj["metadata"]["resourceVersion"]
    with Watch(session.api, collection, {"fieldSelector": f"metadata.name={name}"}, version) as watch:
        while True:
            if session.cancelled.is_set():
                raise Cancelled(f"cancelled while {objects.title(obj)} was being deleted ({_held_by(obj)})")
            left = deadline - time.monotonic()
            if left <= 0:
                raise NotReady(f"{objects.title(obj)} is still there: {_held_by(obj)}", obj, _reasons(obj))
            event = watch.next(min(left, _TICK))
            if event is None:
                continue
            kind, seen = event
            if kind == "DELETED" or seen["metadata"]["uid"] != uid:
                return
            obj = seen
            session.engine.status(urn, f"deleting: {_held_by(obj)}")


def _held_by(obj: Object) -> str:
    finalizers = pluck(obj, "metadata", "finalizers") or []
    names = ", ".join(finalizers) or ", ".join(pluck(obj, "spec", "finalizers") or [])
    if not names:
        return "no finalizer holds it, its owner has not let go of it yet"
    if finalizers == ["foregroundDeletion"]:
        return "foregroundDeletion holds it until what it owns is deleted"
    return f"finalizer {names} holds it"


def _reasons(obj: Object) -> list[str]:
    """A namespace says in its conditions what is left in it."""
    conditions = pluck(obj, "status", "conditions") or []
    return [_held_by(obj)] + [
        str(entry.get("message"))
        for entry in conditions
        if entry.get("status") == "True" and entry.get("message")
    ]
