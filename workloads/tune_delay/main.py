"""Search good settings for the delay classifier: Optuna on PostgreSQL, as many workers as there are pods.

Every worker runs this program. It reads the data once, takes one trial after the other until the study has as
many results as it was asked for, and the first to be done trains the best trial once more and registers it.
A worker that is killed loses nothing: its trial is tried again by another (slots.py says how).
"""

import argparse
import json
import math
import os
import signal
import socket
import sys
from dataclasses import replace
from threading import Event
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from workloads import common
from workloads.common import log
from workloads.settings import changed
from workloads.tune_delay import config
from workloads.tune_delay.config import METRIC, TuneDelay
from workloads.tune_delay.delay import Delay
from workloads.tune_delay.lock import Lock
from workloads.tune_delay.slots import Slots
from workloads.tune_delay.study import best_of, history, open_study

REGISTERED = "registered"
"""User attribute of a study: the version that came of it."""


def objective(delay: Delay, trial: Trial, leaving: Event) -> float:
    """Train with the trial's parameters; ROC-AUC on the validation month after the last epoch.

    A worker that is asked to go (`leaving`) gives its trial back after the epoch; one that is killed is found
    by its silence.
    """
    trial.set_user_attr("worker", socket.gethostname())
    values = []

    def tell(epoch: int, figures: dict[str, float]) -> None:
        log("epoch", trial=trial.number, epoch=epoch, **figures)
        if leaving.is_set():
            sys.exit(128 + signal.SIGTERM)
        if not math.isfinite(figures["validation_loss"]):
            raise optuna.TrialPruned("the training diverged")
        values.append(figures[METRIC])
        trial.report(values[-1], epoch)
        if epoch < delay.training.epochs and trial.should_prune():
            raise optuna.TrialPruned

    delay.fit(trial.params, tell)
    return values[-1]


def conclude(slots: Slots, delay: Delay, url: str) -> dict[str, Any]:
    """Register the best trial, in whichever worker comes first; a later one finds that it was done."""
    study = slots.study
    with Lock(url, f"registering of {study.study_name}").attempt() as mine:
        if not mine:
            return {"registered_by": "another worker"}
        if REGISTERED not in study.user_attrs:
            best = best_of(study)
            done = register(study, best, delay)
            study.set_user_attr(REGISTERED, {**done, "trial": best.number, "value": best.value})
        return {"registered": study.user_attrs[REGISTERED]}


def register(study: optuna.Study, best: FrozenTrial, delay: Delay) -> dict[str, Any]:
    tags = {
        "study": study.study_name,
        "trial": str(best.number),
        "trial_params": json.dumps(best.params, sort_keys=True),
        "tuning_code_sha256": delay.identity()["code"][0],
    }
    artifacts = {
        "trials.csv": study.trials_dataframe().to_csv(index=False),
        "optimization_history.json": history(study),
    }
    return delay.register(study.study_name, best.params, tags, artifacts, float(best.value))


# --- all of it --------------------------------------------------------------------------------------------


def work(settings: TuneDelay, name: str | None, snapshot: int | None) -> dict[str, Any]:
    """What each worker does from start to end."""
    leaving = Event()
    signal.signal(signal.SIGTERM, lambda *_: leaving.set())
    common.seed_everything(settings.seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url, delay = common.env("OPTUNA_STORAGE"), Delay(settings.training, snapshot)
    slots = open_study(settings, url, name, delay.identity())
    log("study", name=slots.study.study_name, finished=slots.finished())
    done = slots.work(lambda trial: objective(delay, trial, leaving))
    counts = {state.name: 0 for state in TrialState}
    for trial in slots.study.get_trials(deepcopy=False):
        counts[trial.state.name] += 1
    return {
        "study": slots.study.study_name,
        "worker": os.environ.get("JOB_COMPLETION_INDEX", "0"),
        "trials": done,
        "states": counts,
        **conclude(slots, delay, url),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--study", help="name of the study (default: made from what is asked)")
    parser.add_argument("--snapshot", type=int, help="of the flights in Iceberg (default: the last loaded)")
    parser.add_argument("--epochs", type=int, help="the most of a trial")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="another value of a setting"
    )
    arguments = parser.parse_args()
    settings = changed(getattr(config, arguments.config)(), arguments.set)
    if arguments.epochs:
        settings = replace(settings, training=replace(settings.training, epochs=arguments.epochs))
    common.run(lambda: work(settings, arguments.study, arguments.snapshot))


if __name__ == "__main__":
    main()
