"""One look of the bandit: what is known, what the route is, and whether and where the weights go.

The state is in two places that a kill cannot part: the counts are read from the log of outcomes anew at every
look, each request once, so nothing is counted twice or lost; and what was known at the last move is noted on
the route in the same write that moves the weights. A bandit that starts anew goes on as if it had never
stopped.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from workloads.steer_traffic import bandit
from workloads.steer_traffic.config import SteerTraffic

STEERED, ROLLOUT = "seatrial.dev/steered", "seatrial.dev/rollout"
"""Annotations of the route: ours, and that of a rollout."""
TOTAL = 1000
"""What the weights add up to."""

Counts = Mapping[str, tuple[int, int]]
"""`(known outcomes, hits)` by version."""


class Holds(Exception):
    """The weights stay as they are, for this reason."""


@dataclass(frozen=True)
class Note:
    """What the bandit leaves on the route."""

    by: str
    """The Deployment."""
    since: str
    """Predictions from then on count: when these arms were first steered."""
    arms: list[str]
    known: dict[str, int] = field(default_factory=dict)
    """Outcomes at the last move."""
    moves: int = 0
    best: dict[str, float] = field(default_factory=dict)
    """What the last move was for: the shares that are wanted."""


@dataclass(frozen=True)
class Move:
    """What is written to the route: its rules, and the note."""

    rules: list[dict[str, Any]]
    note: Note
    weights: dict[str, int]


def arms_of(route: Mapping[str, Any]) -> dict[str, int]:
    """The weights of the default rule, by version.

    Raises:
        Holds: there is nothing to steer, or somebody else is at work.
    """
    rollout = _note(route, ROLLOUT)
    if rollout and not rollout["ended"]:
        raise Holds(f"a rollout of version {rollout['version']} is under way")
    backends = route["spec"]["rules"][-1].get("backendRefs", [])
    weights = {_version(backend["name"]): int(backend.get("weight", 1)) for backend in backends}
    if len(weights) < 2 or not sum(weights.values()):
        raise Holds(f"the default rule has {len(weights)} version, there is nothing to choose from")
    return weights


def note_on(route: Mapping[str, Any], by: str) -> Note | None:
    """The note of the steering that goes on; None where these arms were not steered by us before.

    What another version of this program wrote there beside is left out.

    Raises:
        Holds: there is nothing to steer.
    """
    arms, found = sorted(arms_of(route)), _note(route, STEERED)
    if not found or (found.get("arms"), found.get("by")) != (arms, by):
        return None
    known = {each.name for each in fields(Note)}
    return Note(**{name: value for name, value in found.items() if name in known})


def decide(settings: SteerTraffic, route: Mapping[str, Any], note: Note, counts: Counts) -> Move:
    """The next move by what is known of the arms; versions that are no arm are no part of it.

    Raises:
        Holds: too little is new since the last move.
    """
    weights = arms_of(route)
    known = {arm: counts.get(arm, (0, 0))[0] for arm in note.arms}
    hits = {arm: counts.get(arm, (0, 0))[1] for arm in note.arms}
    fresh = sum(known.values()) - sum(note.known.values())
    if not sum(known.values()):
        raise Holds(f"no outcome of versions {', '.join(note.arms)} is known since {note.since}")
    if fresh < settings.batch:
        raise Holds(f"{fresh} of {settings.batch} new outcomes since the last move")
    wanted = bandit.wanted(
        [hits[arm] for arm in note.arms], [known[arm] for arm in note.arms], settings.rules
    )
    to = dict(zip(note.arms, wanted, strict=True))
    now = {arm: weights[arm] / sum(weights.values()) for arm in note.arms}
    made = bandit.whole(bandit.moved(now, to, settings.most), TOTAL)
    best = {arm: round(share, 4) for arm, share in to.items()}
    left = Note(note.by, note.since, note.arms, known, note.moves + 1, best)
    return Move(_weighed(route, made), left, made)


def _weighed(route: Mapping[str, Any], weights: Mapping[str, int]) -> list[dict[str, Any]]:
    *others, default = route["spec"]["rules"]
    backends = [
        {**backend, "weight": weights[_version(backend["name"])]} for backend in default["backendRefs"]
    ]
    return [*others, {**default, "backendRefs": backends}]


def _version(service: str) -> str:
    """`3` of `delay-v3-predictor`.

    Raises:
        Holds: the Service is of no version.
    """
    match = re.fullmatch(r".+-v([^-]+)-predictor", service)
    if match is None:
        raise Holds(f"the default rule names Service {service}, which is of no version")
    return match[1]


def _note(route: Mapping[str, Any], annotation: str) -> dict[str, Any] | None:
    text = (route["metadata"].get("annotations") or {}).get(annotation)
    return json.loads(text) if text else None
