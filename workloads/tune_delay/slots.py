"""Exactly so many results, whoever is killed when.

Each trial that a study was asked for is a *slot*: a number, kept in the user attribute `slot` of every try at
it. Slots are queued when the study is made; a worker takes one, runs it and tells the result. What Optuna
does about a worker that dies (heartbeats, failing the silent trial, queueing it again with the same
parameters) leaves three gaps, which are closed here:

* a trial whose worker dies before its first heartbeat would run for ever: here the first heartbeat is
  recorded before the trial starts;
* a worker that dies between failing a silent trial and queueing it again would lose it: here whoever comes
  next queues each slot that has neither a result nor a try that may give one;
* workers that count finished trials overshoot: here nobody makes a trial but by taking a slot.

All of it happens under one lock. Training does not: a trial whose worker was only slow may be given up and
tried by another; of two results for one slot the later is refused by the database, since its trial is failed.
"""

import copy
import threading
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, TrialPruned, UpdateFinishedTrialError
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, Trial, TrialState

from workloads.common import WorkloadError, log

SLOT = "slot"
RESULTS = (TrialState.COMPLETE, TrialState.PRUNED)
PATIENCE = {
    "connect_timeout": 20,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
"""Of connections to PostgreSQL, in seconds (the last in milliseconds)."""
POLL = 0.5
"""Seconds between two looks at trials that others run."""

warnings.filterwarnings("ignore", category=ExperimentalWarning)
warnings.filterwarnings("ignore", message="Heartbeat of storage is supposed to be used with")


class Retry(RetryHeartbeatStaleTrialCallback):
    """Optuna's, but a try does not begin with the pruner's notes on the one before.

    They would have it pruned, or spared, by rungs that it did not climb.
    """

    def __call__(self, study: optuna.Study, trial: FrozenTrial) -> None:
        again = copy.deepcopy(trial)
        again.system_attrs = {
            key: value for key, value in again.system_attrs.items() if not key.startswith("completed_rung_")
        }
        super().__call__(study, again)


def storage(url: str, *, heartbeat: int, grace: int, retries: int) -> RDBStorage:
    """Optuna's storage with heartbeats. Made under a lock: its tables are not made atomically.

    A connection that the server closed is noticed before it is used, and one whose server is gone after 20 s.
    """
    return RDBStorage(
        url,
        engine_kwargs={"pool_pre_ping": True, "connect_args": PATIENCE if "postgresql" in url else {}},
        heartbeat_interval=heartbeat,
        grace_period=grace,
        heartbeat_stale_trial_callback=Retry(max_retry=retries),
    )


def with_result(tries: list[FrozenTrial]) -> set[int]:
    """The slots that have one."""
    return {each.user_attrs[SLOT] for each in tries if each.state in RESULTS}


class Slots:
    """The slots of a study.

    `samplers` makes the sampler for a slot, `space` are the distributions of all parameters, and `lock` gives
    a context that only one worker is in at a time.
    """

    def __init__(
        self,
        study: optuna.Study,
        kept: RDBStorage,
        count: int,
        *,
        space: dict[str, Any],
        samplers: Callable[[int], optuna.samplers.BaseSampler],
        lock: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self.study = study
        self.storage = kept
        self.count = count
        self.space = space
        self.samplers = samplers
        self.lock = lock

    def work(self, objective: Callable[[Trial], float]) -> list[int]:
        """Run trials until every slot has its result; returns the numbers of those that got theirs here."""
        done = []
        while (trial := self.take()) is not None:
            if self.run(trial, objective):
                done.append(trial.number)
        return done

    def take(self) -> Trial | None:
        """Start the next trial. While others run the last ones it waits; None once every slot has its result.

        Raises:
            WorkloadError: a slot lost its worker too often.
        """
        while True:
            with self.lock():
                tries = self._mend()
                queued = [each for each in tries if each.state == TrialState.WAITING]
                if queued:
                    return self._start(queued[0])
            if len(with_result(tries)) == self.count:
                return None
            time.sleep(POLL)

    def finished(self) -> bool:
        """Whether every slot has its result."""
        return len(with_result(self.study.get_trials(deepcopy=False))) == self.count

    def _mend(self) -> list[FrozenTrial]:
        """Give up silent trials, queue slots that need it; returns all tries, by number.

        They are read once more only where something was queued: reading them is seven statements.
        """
        optuna.storages.fail_stale_trials(self.study)
        found = self.study.get_trials(deepcopy=False)
        by_slot: dict[int, list[FrozenTrial]] = defaultdict(list)
        for each in found:
            by_slot[each.user_attrs[SLOT]].append(each)
        queued = False
        for slot in range(self.count):
            tries = by_slot[slot]
            if not tries:
                self.study.enqueue_trial({}, user_attrs={SLOT: slot})
            elif all(each.state == TrialState.FAIL for each in tries):
                self._queue_again(tries[-1])
            else:
                continue
            queued = True
        return self.study.get_trials(deepcopy=False) if queued else found

    def _queue_again(self, failed: FrozenTrial) -> None:
        before = len(self.study.get_trials(deepcopy=False))
        self.storage.get_heartbeat_stale_trial_callback()(self.study, failed)
        if len(self.study.get_trials(deepcopy=False)) == before:
            tries = [*RetryHeartbeatStaleTrialCallback.retry_history(failed), failed.number]
            raise WorkloadError(
                f"trial {failed.number} of study {self.study.study_name} was lost once more; its slot "
                f"{failed.user_attrs[SLOT]} was tried {len(tries)} times (trials {tries}, parameters "
                f"{failed.params}): see why its workers died, for instance for want of memory"
            )

    def _start(self, queued: FrozenTrial) -> Trial:
        """Take the first trial of the queue, which only the holder of the lock does."""
        self.storage.record_heartbeat(queued._trial_id)
        self.study.sampler = self.samplers(queued.user_attrs[SLOT])
        return self.study.ask(self.space)

    def run(self, trial: Trial, objective: Callable[[Trial], float]) -> bool:
        """Run one trial and tell its result; False where it was given up as lost meanwhile."""
        value, state = None, TrialState.PRUNED
        with self._beating(trial._trial_id):
            try:
                value, state = objective(trial), TrialState.COMPLETE
            except TrialPruned:
                pass
            except UpdateFinishedTrialError:
                pass  # Told below.
            except BaseException:
                self.study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
                raise
        try:
            told = self.study.tell(trial, value, state, skip_if_finished=True)
        except UpdateFinishedTrialError:
            told = self.study.trials[trial.number]
        if told.state == TrialState.FAIL:
            log("too late: this trial was given up and is tried again", trial=trial.number)
        return told.state != TrialState.FAIL

    @contextmanager
    def _beating(self, trial_id: int) -> Iterator[None]:
        """Mark the trial as alive until its end. A database that is away for a moment does not end that."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self.storage.heartbeat_interval):
                try:
                    self.storage.record_heartbeat(trial_id)
                except Exception as error:
                    log("heartbeat not recorded", error=error)
            self.storage.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
