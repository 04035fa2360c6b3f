"""Diff: what changed between the inputs of last time and those of now, and whether it can change in place.

Only inputs are compared, never what the server made of them: it fills in defaults and respells quantities.
What others changed is found by a refresh, which writes it into the old inputs (drift.py).
"""

from typing import Any, Final

from local.provider import objects, replacement
from local.provider.drift import MISSING
from local.provider.errors import ProviderError
from local.provider.kinds import Resource
from local.provider.objects import Object
from local.provider.protocol import provider as pb
from local.provider.readiness.jobs import job
from local.provider.replacement import Path_
from local.provider.session import Session
from local.provider.values import UNKNOWN, plain

_REPLACE: Final = {
    pb.PropertyDiff.ADD: pb.PropertyDiff.ADD_REPLACE,
    pb.PropertyDiff.DELETE: pb.PropertyDiff.DELETE_REPLACE,
    pb.PropertyDiff.UPDATE: pb.PropertyDiff.UPDATE_REPLACE,
}
Change = tuple[Path_, int, Any]


def diff(session: Session, resource: Resource, state: Object, news: Object, ignored: list[str]) -> Any:
    """The engine's answer: changes with their paths, and which of them replace the object."""
    recorded, live = objects.parse_checkpoint(state)
    old, new = plain(recorded), plain(news)
    for side in (old, new):
        objects.without_server_fields(side)
        _canonical_namespace(session, side)
    if not objects.name(old) and objects.name(live):
        old.setdefault("metadata", {})["name"] = objects.name(live)
    changes = [change for change in compare((), old, new) if not _ignored(change[0], ignored)]
    patterns = replacement.fields(new, session.config, patch=resource.patch)
    detailed = {_text(path): _kind(path, kind, value, patterns) for path, kind, value in changes}
    replaces = sorted(path for path, kind in detailed.items() if kind in _REPLACE.values())
    if _unready_job(session, resource, new, live):
        replaces.append(f'metadata.annotations["{objects.REPLACE_UNREADY}"]')
    return pb.DiffResponse(
        changes=pb.DiffResponse.DIFF_SOME if detailed or replaces else pb.DiffResponse.DIFF_NONE,
        replaces=replaces,
        deleteBeforeReplace=bool(replaces) and _same_place(new, live),
        diffs=sorted({str(path[0]) for path, _, _ in changes}),
        detailedDiff={path: pb.PropertyDiff(kind=kind, inputDiff=True) for path, kind in detailed.items()},
        hasDetailedDiff=True,
    )


def compare(path: Path_, old: Any, new: Any) -> list[Change]:
    """Every difference between two values, as path, kind and new value; null is the same as absent."""
    if old is None and new is None:
        return []
    if old is None or old is MISSING:
        return [(path, pb.PropertyDiff.ADD, new)]
    if new is None or new is MISSING:
        return [(path, pb.PropertyDiff.DELETE, None)]
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(key for key in new if key not in old)]
        return [change for key in keys for change in compare((*path, key), old.get(key), new.get(key))]
    if isinstance(old, list) and isinstance(new, list):
        changes = []
        for index in range(max(len(old), len(new))):
            before = old[index] if index < len(old) else MISSING
            after = new[index] if index < len(new) else MISSING
            changes += compare((*path, index), before, after)
        return changes
    return [] if _equal(old, new) else [(path, pb.PropertyDiff.UPDATE, new)]


def _equal(old: Any, new: Any) -> bool:
    if new is UNKNOWN or old is UNKNOWN:
        return False
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _kind(path: Path_, kind: int, value: Any, patterns: list[tuple[str, ...]]) -> int:
    return _REPLACE[kind] if replacement.touches(path, value, patterns) else kind


def _canonical_namespace(session: Session, obj: Object) -> None:
    if isinstance(obj.get("metadata"), dict) and obj["metadata"].get("namespace") is not UNKNOWN:
        namespaced = session.discovery.namespaced(objects.kind_of(obj))
        objects.set_namespace(obj, (objects.namespace(obj) or "default") if namespaced else "")


def _same_place(new: Object, live: Object) -> bool:
    """The replacement must carry the very name of the old object, so the old one has to go first."""
    if objects.is_true(new, objects.AUTONAMED):
        return False
    same_namespace = objects.namespace(new) == objects.namespace(live)
    return bool(objects.name(new)) and objects.name(new) == objects.name(live) and same_namespace


def _unready_job(session: Session, resource: Resource, new: Object, live: Object) -> bool:
    if not objects.is_true(new, objects.REPLACE_UNREADY):
        return False
    if objects.kind_of(new).kind != "Job":
        session.engine.warn(resource.urn, f"{objects.REPLACE_UNREADY} has a meaning for Jobs only")
        return False
    if not session.reachable:
        session.engine.warn(
            resource.urn, f"the cluster is unreachable: {objects.REPLACE_UNREADY} was not looked at"
        )
        return False
    try:
        path = session.place(objects.kind_of(live)).object(objects.namespace(live), objects.name(live))
        return not job(session.api.get(path)).ready
    except ProviderError:
        return False


def _text(path: Path_) -> str:
    """The path as the engine spells it: `spec.ports[0].name`, `metadata.annotations["a.b/c"]`."""
    parts: list[str] = []
    for step in path:
        if isinstance(step, int):
            parts.append(f"[{step}]")
        elif any(letter in step for letter in '."[]'):
            escaped = step.replace('"', '\\"')
            parts.append(f'["{escaped}"]')
        else:
            parts.append(f".{step}" if parts else step)
    return "".join(parts)


def _ignored(path: Path_, ignored: list[str]) -> bool:
    """Whether the program ignores this path. (Most old values are in the new inputs already.)"""
    return any(
        ignore == _text(path) or _text(path).startswith((f"{ignore}.", f"{ignore}[")) for ignore in ignored
    )
