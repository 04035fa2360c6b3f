"""Judges the alerts that are stored again and again, and sees to it that what was decided is done.

The trail is the only state. Each open action has a thread; one whose action could not be done for now, or
that was lost with the process, is begun again by the next look. Actions find out themselves what they have
done already.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from react import metrics
from react.decide import decide_all
from react.policy import CHANGES, PAGE, Policy
from react.trail import Reaction, Trail, TrailAway
from workloads.common import log

PATIENCE = timedelta(minutes=30)
"""For so long an action that cannot be done for now is tried; then it has failed."""
SILENT = timedelta(minutes=2)
"""Without a look for so long, the process is of no use any more."""


class Later(Exception):
    """It cannot be done for now, because of somebody who does not answer."""


@dataclass(frozen=True)
class Outcome:
    """What came of an action: `done`, or one of `metrics.RESULTS`, a colon and why."""

    result: str
    detail: dict[str, Any] = field(default_factory=dict)


Act = Callable[[Reaction, Callable[[str], None]], Outcome]
"""Does an action, or what is left to do of it; is told how to note a step."""


class Controller:
    """One process that judges and acts."""

    def __init__(
        self, policy: Policy, trail: Trail, acts: Mapping[str, Act], clock: Callable[[], datetime]
    ) -> None:
        self.policy, self.trail, self.acts, self.clock = policy, trail, acts, clock
        self.woken, self.leaving = threading.Event(), threading.Event()
        self.looked = clock()
        self._busy: dict[int, threading.Thread] = {}
        self._trouble: dict[int, datetime] = {}

    def run(self, every: float) -> None:
        """Look every so many seconds, and as soon as alerts come in, until `leaving` is set."""
        while not self.leaving.is_set():
            self.woken.clear()
            try:
                self.look()
            except TrailAway as away:
                log("nothing can be decided", cause=f"'{away}'")
            self.looked = self.clock()
            self.woken.wait(every)

    def alive(self) -> bool:
        """Whether it still looks; that the database is away is no fault of its own."""
        return self.clock() - self.looked < SILENT

    def look(self) -> None:
        """Judge once, and begin what is open.

        Raises:
            TrailAway: the database does not answer.
        """
        for new in self.trail.decide(self.policy, decide_all):
            log(
                "decided", reaction=new.id, action=new.action, alert=new.alertname, model=new.model or "none",
                why=f"'{new.reason}'",
            )  # fmt: skip
        # Who works is looked at before what is open: one that ends in between has noted its result by then.
        self._busy = {each: thread for each, thread in self._busy.items() if thread.is_alive()}
        there = self.trail.open()
        self._show(there)
        for reaction in there:
            if reaction.id not in self._busy:
                thread = threading.Thread(target=self._work, args=(reaction,), daemon=True)
                self._busy[reaction.id] = thread
                thread.start()
        metrics.LOOKED.set(self.clock().timestamp())

    def wait(self) -> None:
        """For what has been begun."""
        for thread in list(self._busy.values()):
            thread.join()

    def _work(self, reaction: Reaction) -> None:
        try:
            outcome = self._outcome(reaction)
            if outcome and self.trail.finish(reaction, outcome.result, outcome.detail):
                metrics.finished(reaction.action, outcome.result)
                log("finished", reaction=reaction.id, action=reaction.action, result=f"'{outcome.result}'")
                self.woken.set()  # What is not done is told to a person at once.
        except TrailAway as away:
            log("what was done cannot be noted yet", reaction=reaction.id, cause=f"'{away}'")

    def _outcome(self, reaction: Reaction) -> Outcome | None:
        """What came of it; None where it is to be tried again."""
        try:
            outcome = self.acts[reaction.action](reaction, lambda what: self.trail.step(reaction, what))
        except TrailAway:
            raise
        except Exception as error:
            cause = str(error) if isinstance(error, Later) else f"{type(error).__name__}: {error}"
            since = self._trouble.setdefault(reaction.id, self.clock())
            if self.clock() - since >= PATIENCE:
                return Outcome(f"failed: it could not be done for {PATIENCE}: {cause}")
            log("cannot be done for now", reaction=reaction.id, cause=f"'{cause}'")
            if since == self.clock():
                self.trail.step(reaction, f"cannot be done for now: {cause}")
            return None
        self._trouble.pop(reaction.id, None)
        return outcome

    def _show(self, there: list[Reaction]) -> None:
        for action in (*CHANGES, PAGE):
            metrics.OPEN.labels(action).set(sum(each.action == action for each in there))
        ages = [(self.clock() - each.decided_at).total_seconds() for each in there]
        metrics.OLDEST.set(max(ages, default=0.0))
