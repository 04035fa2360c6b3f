"""Waits for what a platform does in its own time."""

import time
from collections.abc import Callable

from client.errors import ClientError

LOOK = "see what holds it up: kubectl get pods -A; kubectl get events -A"


def until(
    holds: Callable[[], bool],
    what: str | Callable[[], str],
    patience: float = 180,
    *,
    every: float = 0.5,
    todo: str = LOOK,
) -> None:
    """Wait for `holds`, which is what `what` names; it is asked every so many seconds, at least once. `what`
    may be a function, which is called when it is late, to tell what was seen last.

    Raises:
        ClientError: it did not hold within `patience` seconds.
    """
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            named = what if isinstance(what, str) else what()
            raise ClientError(f"waited {patience:.0f} s for {named}", todo)
        time.sleep(every)
