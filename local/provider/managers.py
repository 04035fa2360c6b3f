"""Field managers: who owns which field of an object, and how ownership moves to this provider."""

import secrets
from typing import Any, Final

from local.provider import objects
from local.provider.errors import ApiError
from local.provider.http import APPLY, JSON_PATCH, Api
from local.provider.objects import Object, pluck

CREATOR: Final = "pulumi-kubernetes"
"""Owns what a create has set. Kubernetes keeps it apart from what an apply owns, even under the same name."""

_OURS: Final = frozenset(
    {CREATOR, "pulumi-resource-kubernetes", "before-first-apply", "kubectl-client-side-apply"}
)
"""Whose updates an apply takes over: this provider's creates, and clients from before server-side apply."""


def manager_of(inputs: Object, state: Object, *, server_side: bool) -> str:
    """The manager of this object: the one its annotation names, the one it had, or a new one of its own."""
    if not server_side:
        return CREATOR
    known = objects.text(state.get(objects.FIELD_MANAGER))
    return objects.annotation(inputs, objects.PATCH_MANAGER) or known or f"{CREATOR}-{secrets.token_hex(4)}"


def take_over(api: Api, path: str, live: Object, manager: str) -> None:
    """Move what a create or an old client owns to `manager`, so that leaving a field out removes it."""
    entries = pluck(live, "metadata", "managedFields") or []
    ours = [entry for entry in entries if _is_ours(entry)]
    if not ours:
        return
    mine = next((entry for entry in entries if _is_apply_by(entry, manager)), None)
    owned: dict[str, Any] = dict((mine or {}).get("fieldsV1") or {})
    for entry in ours:
        owned = _union(owned, entry.get("fieldsV1") or {})
    moved = {**ours[0], **(mine or {}), "manager": manager, "operation": "Apply", "fieldsV1": owned}
    rest = [entry for entry in entries if entry not in ours and entry is not mine]
    patch = [
        {"op": "replace", "path": "/metadata/managedFields", "value": [moved, *rest]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"]},
    ]
    api.request("PATCH", path, body=patch, content_type=JSON_PATCH)


def relinquish(api: Api, path: str, obj: Object, manager: str) -> None:
    """Give up every field that `manager` owns. What nobody else owns goes back to its default."""
    meta = {key: value for key in ("name", "namespace") if (value := pluck(obj, "metadata", key))}
    minimal = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": meta}
    api.request("PATCH", path, query={"fieldManager": manager}, body=minimal, content_type=APPLY)


def leave_ignored(body: Object, live: Object, ignored: list[str], manager: str) -> None:
    """Hands off ignored fields: one that another manager owns is left out, any other keeps its value."""
    entries = pluck(live, "metadata", "managedFields") or []
    for path in ignored:
        steps = path.split(".")
        if any(letter in path for letter in '["*'):
            continue  # within a list, the old inputs that the engine filled in must do
        value = pluck(live, *steps)
        mine = any(
            _owns(entry, steps) for entry in entries if entry.get("manager") == manager or _is_ours(entry)
        )
        theirs = any(_owns(entry, steps) for entry in entries)
        if theirs and not mine:
            _put(body, steps, None)
        elif value is not None:
            _put(body, steps, value)


def only_ours_conflict(error: ApiError) -> bool:
    """Whether a dry run met nothing but fields that a real run would take over first."""
    conflicts = [str(cause.get("message")) for cause in error.causes]
    return bool(conflicts) and all(any(f'"{name}"' in text for name in _OURS) for text in conflicts)


def explain_conflict(error: ApiError, obj: Object, manager: str) -> str:
    fields = "\n".join(f"  - {cause.get('field')}: {cause.get('message')}" for cause in error.causes)
    return (
        f"{objects.title(obj)}: server-side apply as {manager!r} conflicts with the owners of these fields:\n"
        f"{fields or error.message}\n"
        f"  what to do: leave them out, ignore them (ignore_changes) or take them ({objects.PATCH_FORCE})"
    )


def _is_ours(entry: Object) -> bool:
    update = entry.get("operation") == "Update" and not entry.get("subresource")
    return update and entry.get("manager") in _OURS


def _is_apply_by(entry: Object, manager: str) -> bool:
    return (
        entry.get("manager") == manager and entry.get("operation") == "Apply" and not entry.get("subresource")
    )


def _owns(entry: Object, steps: list[str]) -> bool:
    fields = entry.get("fieldsV1")
    for step in steps:
        fields = fields.get(f"f:{step}") if isinstance(fields, dict) else None
    return fields is not None


def _union(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    result = dict(first)
    for key, value in second.items():
        known = result.get(key)
        result[key] = _union(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return result


def _put(body: Object, steps: list[str], value: Any) -> None:
    for step in steps[:-1]:
        if not isinstance(body.get(step), dict):
            return
        body = body[step]
    if value is None:
        body.pop(steps[-1], None)
    else:
        body[steps[-1]] = value
