"""Waits for one object: looks at each change until the verdict is in, time is over or somebody cancels."""

import time
from collections.abc import Callable
from typing import Final

from local.provider import objects
from local.provider.errors import NotReady
from local.provider.objects import Object
from local.provider.readiness.diagnosis import diagnose
from local.provider.readiness.verdict import Check, Verdict
from local.provider.session import Session
from local.provider.watch import Watch

TICK: Final = 1.0
_REPORT_SECONDS: Final = 10.0
"""How often the person is told what the pods say while nothing else happens."""


def wait_for(session: Session, urn: str, live: Object, check: Check, deadline: float) -> Object:
    """The object once it is ready; `NotReady` says why not, with what its pods and events tell."""
    verdict = check(live)
    if verdict.ready:
        return live
    waiter = _Waiter(session, urn, live, verdict)
    place = session.place(objects.kind_of(live))
    collection = place.collection(objects.namespace(live))
    query = {"fieldSelector": f"metadata.name={objects.name(live)}"}
    with Watch(session.api, collection, query, live["metadata"]["resourceVersion"]) as watch:
        while not waiter.ready:
            event = watch.next(waiter.patience(deadline))
            if event is None:
                waiter.report()
                continue
            kind, seen = event
            if kind == "DELETED":
                raise NotReady(f"{objects.title(live)} was deleted while it was waited for", live)
            waiter.see(seen, check(seen))
    session.engine.status(urn, "")
    return waiter.live


class _Waiter:
    """What has been seen so far, and when it was last told."""

    def __init__(self, session: Session, urn: str, live: Object, verdict: Verdict) -> None:
        self.live = live
        self._session, self._urn = session, urn
        self._verdict = verdict
        self._reported = time.monotonic()
        session.engine.status(urn, verdict.message)

    @property
    def ready(self) -> bool:
        return self._verdict.ready

    def see(self, live: Object, verdict: Verdict) -> None:
        self.live = live
        if verdict.failed:
            raise not_ready(self._session, live, verdict.message)
        if verdict.message != self._verdict.message:
            self._session.engine.status(self._urn, verdict.message)
        self._verdict = verdict

    def patience(self, deadline: float) -> float:
        """How long to wait for the next event; no time at all is an error."""
        if self._session.cancelled.is_set():
            raise NotReady(f"cancelled: {objects.title(self.live)}: {self._verdict.message}", self.live)
        left = deadline - time.monotonic()
        if left <= 0:
            raise not_ready(self._session, self.live, f"not ready in time: {self._verdict.message}")
        return min(TICK, left)

    def report(self) -> None:
        if time.monotonic() - self._reported < _REPORT_SECONDS:
            return
        self._reported = time.monotonic()
        reasons = diagnose(self._session, self.live)
        self._session.engine.status(self._urn, "; ".join([self._verdict.message, *reasons[:1]]))


def not_ready(session: Session, live: Object, message: str) -> NotReady:
    return NotReady(f"{objects.title(live)}: {message}", live, [message, *diagnose(session, live)])


Waiting = Callable[[Session, str, Object, float], Object]
"""Waits for an object until a deadline and returns its last form."""
