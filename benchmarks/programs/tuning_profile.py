"""Where a trial's time goes when Optuna keeps it in PostgreSQL: by step, what is said to the database and the
processor time of this process; by layer, the shares of that time. `tuning_storage` says how much it is.

Not a benchmark: nothing is judged. It is run by hand, as docs/explanation/tuning-storage.md says.
"""

import cProfile
import pstats
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import optuna
import sqlalchemy
import watch

from workloads import common
from workloads.tune_delay import config, slots, study

SAMPLERS = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
LAYERS = {
    "/optuna/samplers/": "optuna.samplers",
    "/optuna/storages/": "optuna.storages",
    "/optuna/": "optuna",
    "/sqlalchemy/": "sqlalchemy",
    "/psycopg": "psycopg",
}
"""A piece of a file's path → the layer it belongs to; the first that fits. The rest is `other`."""
COUNTED = ("statements", "commits", "pings")
EPOCHS = 8
"""What a trial of `tune_delay` reports."""


class Spent:
    """Processor time and what was said to the database, by step.

    Each of `COUNTED` is one round trip, and so is the BEGIN that goes before the first statement of what is
    committed.
    """

    def __init__(self, engine: sqlalchemy.Engine) -> None:
        self.step = "other"
        self.counts: dict[str, Counter[str]] = defaultdict(Counter)
        self.cpu: Counter[str] = Counter()
        listen = sqlalchemy.event.listen
        listen(engine, "before_cursor_execute", lambda *_: self.count("statements"))
        listen(engine, "commit", lambda *_: self.count("commits"))
        ping = engine.dialect.do_ping
        engine.dialect.do_ping = lambda connection: (self.count("pings"), ping(connection))[1]

    def count(self, what: str) -> None:
        self.counts[self.step][what] += 1

    @contextmanager
    def on(self, step: str) -> Iterator[None]:
        before, self.step = self.step, step
        began = time.process_time()
        try:
            yield
        finally:
            self.cpu[step] += time.process_time() - began
            self.step = before

    def tell(self, trials: int, **fields: Any) -> None:
        """A line for each step, with figures for one trial."""
        for step, seconds in self.cpu.items():
            counts = {what: round(self.counts[step][what] / trials, 2) for what in COUNTED}
            watch.tell("step", step=step, **counts, cpu_ms=round(1000 * seconds / trials, 3), **fields)


def plain(spent: Any, made: optuna.Study, trials: int) -> None:
    """The trials of `tuning_storage`, with ask and tell."""
    for _ in range(trials):
        with spent("ask"):
            trial = made.ask()
        with spent("first parameter"):
            x = trial.suggest_float("x", -5, 10)
        with spent("second parameter"):
            y = trial.suggest_float("y", 0, 15)
        with spent("tell"):
            made.tell(trial, x**2 + y)


def slotted(spent: Any, worker: slots.Slots, trials: int) -> None:
    """The trials of `tune_delay`, without the training: one worker, whose lock costs nothing."""
    for number in range(trials):
        with spent("take"):
            trial = worker.take()
        if trial is None:
            raise SystemExit(f"no slot was left after {number} of {trials} trials")
        with spent("user attribute"):
            trial.set_user_attr("worker", "profile")
        for epoch in range(1, EPOCHS + 1):
            with spent("report"):
                trial.report(0.5 + epoch / 100, epoch)
            if epoch < EPOCHS:
                with spent("should_prune"):
                    trial.should_prune()
        with spent("tell"):
            worker.run(trial, lambda _: 0.5)


def layers(work: Callable[[], None]) -> dict[str, float]:
    """Shares of the time, under cProfile: it makes small Python functions look dearer than they are.

    What is built into Python counts for whoever called it.
    """
    profile = cProfile.Profile(time.process_time)
    profile.runcall(work)
    spent: Counter[str] = Counter()
    for (file, _, _), (_, _, own, _, callers) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]
        if file != "~" or not callers:
            spent[layer(file)] += own
            continue
        for (caller, _, _), (_, _, by_caller, _) in callers.items():
            spent[layer(caller)] += by_caller
    return {name: round(seconds / spent.total(), 3) for name, seconds in spent.most_common()}


def layer(file: str) -> str:
    return next((name for piece, name in LAYERS.items() if piece in file), "other")


@contextmanager
def new_study(storage: Any, **given: Any) -> Iterator[optuna.Study]:
    name = f"profile-{uuid.uuid4().hex}"
    try:
        yield optuna.create_study(storage=storage, study_name=name, **given)
    finally:
        optuna.delete_study(study_name=name, storage=storage)


def measure_plain(url: str, trials: int) -> None:
    for storage in (optuna.storages.RDBStorage(url), optuna.storages.InMemoryStorage()):
        kind, durable = type(storage).__name__, isinstance(storage, optuna.storages.RDBStorage)
        spent = Spent(storage.engine if durable else sqlalchemy.create_engine("sqlite://"))
        for sampler, new in SAMPLERS.items():
            with new_study(storage, sampler=new(seed=0)) as made:
                plain(lambda _: nullcontext(), made, 3)  # What is loaded and made once.
            spent.counts.clear()
            spent.cpu.clear()
            with new_study(storage, sampler=new(seed=13)) as made:
                plain(spent.on, made, trials)
            spent.tell(trials, subject="tuning_storage", storage=kind, sampler=sampler)
            with new_study(storage, sampler=new(seed=13)) as made:
                shares = layers(lambda made=made: plain(lambda _: nullcontext(), made, trials))
            watch.tell("layers", subject="tuning_storage", storage=kind, sampler=sampler, shares=shares)


def measure_slotted(url: str, trials: int) -> None:
    settings = config.reference()
    storage = slots.storage(url, heartbeat=settings.heartbeat, grace=settings.grace, retries=settings.retries)
    spent = Spent(storage.engine)
    with new_study(storage, direction="maximize", pruner=study.pruner(settings)) as made:
        worker = slots.Slots(
            made,
            storage,
            trials,
            space=study.distributions(),
            samplers=lambda slot: study.sampler(settings, slot),
            lock=nullcontext,
        )
        worker._mend()  # It queues all slots, once a study.
        slotted(spent.on, worker, trials)
        spent.tell(trials, subject="tune_delay", storage="RDBStorage", sampler=settings.sampler)


def main() -> None:
    trials = watch.told()["trials"]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url = common.env("OPTUNA_STORAGE")
    measure_plain(url, trials)
    measure_slotted(url, trials)
    watch.tell("done")


if __name__ == "__main__":
    main()
