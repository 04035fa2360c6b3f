"""Counts Optuna trials per second, and per second of this process, by storage and sampler, with an objective
that costs nothing. Each study starts empty and has the same number of trials.

The studies lie in the platform's own database of studies, under names of their own, and are deleted.
"""

import time
import uuid
from typing import Any

import optuna
import watch

from workloads import common

SAMPLERS = {"random": optuna.samplers.RandomSampler, "tpe": optuna.samplers.TPESampler}
LONG_ENOUGH = 0.2
"""Seconds that one figure is measured for at least: what is shorter is mostly noise."""


def objective(trial: optuna.Trial) -> float:
    return trial.suggest_float("x", -5, 10) ** 2 + trial.suggest_float("y", 0, 15)


def measure(storage: Any, sampler: str, trials: int, seed: int) -> dict[str, Any]:
    """Whole studies until it has been long enough; making and deleting them is not counted."""
    wall, cpu, asked, complete = 0.0, 0.0, 0, 0
    while wall < LONG_ENOUGH:
        name = f"bench-{uuid.uuid4().hex}"
        study = optuna.create_study(storage=storage, sampler=SAMPLERS[sampler](seed=seed), study_name=name)
        try:
            began = time.perf_counter(), time.process_time()
            study.optimize(objective, n_trials=trials)
            wall += time.perf_counter() - began[0]
            cpu += time.process_time() - began[1]
            asked += trials
            complete += len(study.get_trials(states=[optuna.trial.TrialState.COMPLETE]))
        finally:
            optuna.delete_study(study_name=name, storage=storage)
    return {"wall": wall, "cpu": cpu, "asked": asked, "complete": complete}


def main() -> None:
    told = watch.told()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storages = {
        "postgresql": optuna.storages.RDBStorage(common.env("OPTUNA_STORAGE")),
        "memory": optuna.storages.InMemoryStorage(),
    }
    for sampler in SAMPLERS:  # The first study also loads what Optuna loads late.
        for storage in storages.values():
            measure(storage, sampler, 2, 0)
    for turn, order in told["orders"].items():
        before = watch.look()
        for side in order.split():
            for sampler in SAMPLERS:
                figures = measure(storages[side], sampler, told["trials"], told["seed"])
                watch.tell("trials", turn=int(turn), side=side, sampler=sampler, **figures)
        watch.tell("seen", turn=int(turn), **watch.since(before))
    watch.tell("done", turns=len(told["orders"]))


if __name__ == "__main__":
    main()
