"""What a rollout has done so far, kept on the route that it changes.

It is written together with the weights, in one replacement of one object: whoever finds a rollout that was
killed knows exactly which step it was in, and from what it had begun.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from client.traffic import ROLLOUT, Route

CANARY, STABLE, ROLLED_BACK, STOPPED = "canary", "stable", "rolled back", "stopped"
"""How a rollout ends. The first two are also what it may aim at."""


@dataclass(frozen=True)
class Record:
    """One rollout of one version."""

    id: str
    """Whose it is now: who takes a rollout over gives it another one."""
    version: str
    to: str
    steps: tuple[float, ...]
    """Percent of the requests, rising."""
    former: Mapping[str, int]
    """The weights before, without the version itself: what a rollback gives back."""
    began: str
    """UTC, ISO 8601."""
    passed: int = 0
    """Steps that were judged good."""
    beat: int = 0
    """Goes up while somebody works on it."""
    ended: str = ""
    reason: str = ""
    """Why it ended so, where it did not reach its aim."""
    notes: tuple[str, ...] = field(default=())
    """What was not known when it was judged."""

    @property
    def share(self) -> float:
        """Percent of the last step that was judged good; 0 before."""
        return self.steps[self.passed - 1] if self.passed else 0.0

    def on(self, route: Route) -> Route:
        """The route with this record."""
        return route.noted(ROLLOUT, asdict(self))


def record_of(route: Route) -> Record | None:
    """The rollout that is under way or was the last one; None before the first."""
    note: dict[str, Any] | None = route.note(ROLLOUT)
    if note is None:
        return None
    return Record(**{**note, "steps": tuple(note["steps"]), "notes": tuple(note["notes"])})
