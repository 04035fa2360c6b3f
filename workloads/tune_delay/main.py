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
from dataclasses import asdict, replace
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState

from workloads import common
from workloads.common import WorkloadError, log
from workloads.tune_delay import config
from workloads.tune_delay.config import SPACE, Choice, TuneDelay
from workloads.tune_delay.delay import Delay
from workloads.tune_delay.lock import Lock
from workloads.tune_delay.slots import SLOT, Slots, storage

METRIC = "validation_roc_auc"
ASKED, REGISTERED = "asked", "registered"
"""User attributes of a study: what it is about, and what came of it."""
STARTUP = 6
"""Trials chosen at random before TPE has something to learn from."""


# --- the study --------------------------------------------------------------------------------------------


def distributions() -> dict[str, BaseDistribution]:
    """The search space in Optuna's words."""
    return {
        name: CategoricalDistribution(limits.options)
        if isinstance(limits, Choice)
        else FloatDistribution(limits.low, limits.high, log=True)
        for name, limits in SPACE.items()
    }


def sampler(settings: TuneDelay, slot: int) -> BaseSampler:
    """A sampler for one slot, so that what it draws does not depend on which worker asks.

    `random` gives the same parameters to a slot in every run. `tpe` learns from the trials that are finished
    when it is asked; with several workers that is never the same twice.
    """
    seed = settings.seed * 100_000 + slot
    if settings.sampler == "random":
        return RandomSampler(seed=seed)
    return TPESampler(seed=seed, multivariate=True, constant_liar=True, n_startup_trials=STARTUP)


def pruner(settings: TuneDelay) -> BasePruner:
    known: dict[str, BasePruner] = {
        "asha": SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        "median": MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=1),
        "none": NopPruner(),
    }
    return known[settings.pruner]


def open_study(settings: TuneDelay, url: str, name: str | None, identity: dict[str, Any]) -> Slots:
    """The study, made where it is not there yet. Without a name, the same question is the same study.

    Raises:
        WorkloadError: a study of this name asks something else.
    """
    asked = json.loads(json.dumps({"settings": asdict(settings), **identity}))
    name = name or f"tune-delay-{common.digest(json.dumps(asked, sort_keys=True).encode())[:10]}"
    with Lock(url, "the tables of Optuna").held():
        kept = storage(url, heartbeat=settings.heartbeat, grace=settings.grace, retries=settings.retries)
        study = optuna.create_study(
            storage=kept, study_name=name, direction="maximize", pruner=pruner(settings), load_if_exists=True
        )
        if ASKED not in study.user_attrs:
            study.set_user_attr(ASKED, asked)
    refuse_another(name, study.user_attrs[ASKED], asked)
    return Slots(
        study,
        kept,
        settings.trials,
        space=distributions(),
        samplers=lambda slot: sampler(settings, slot),
        lock=Lock(url, f"study {name}").held,
    )


def refuse_another(name: str, there: dict[str, Any], asked: dict[str, Any]) -> None:
    differing = [key for key in asked if there.get(key) != asked[key]]
    if differing:
        raise WorkloadError(
            f"study {name} is there and was asked with other {' and '.join(differing)}: {there}; "
            f"now it is {asked}. Give this study another name (--study)"
        )


# --- the trials -------------------------------------------------------------------------------------------


def objective(delay: Delay, trial: Trial) -> float:
    """Train with the trial's parameters; ROC-AUC on the validation month after the last epoch."""
    trial.set_user_attr("worker", socket.gethostname())
    values = []

    def tell(epoch: int, figures: dict[str, float]) -> None:
        log("epoch", trial=trial.number, epoch=epoch, **figures)
        if not math.isfinite(figures["validation_loss"]):
            raise optuna.TrialPruned("the training diverged")
        values.append(figures[METRIC])
        trial.report(values[-1], epoch)
        if epoch < delay.training.epochs and trial.should_prune():
            raise optuna.TrialPruned

    delay.fit(trial.params, tell)
    return values[-1]


def best_of(study: optuna.Study) -> FrozenTrial:
    """The complete trial with the highest value; of equal ones the first."""
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if not complete:
        raise WorkloadError(f"no trial of study {study.study_name} was complete: all were pruned or diverged")
    return max(complete, key=lambda trial: (trial.value, -trial.number))


def history(study: optuna.Study) -> dict[str, Any]:
    """The course of the study, for a report: each try, and the best value so far in the order of ending."""
    tries = sorted(study.trials, key=lambda trial: trial.datetime_complete)
    rows, best = [], None
    for trial in tries:
        if trial.state == TrialState.COMPLETE:
            best = trial.value if best is None else max(best, trial.value)
        rows.append(
            {
                "number": trial.number,
                "slot": trial.user_attrs[SLOT],
                "state": trial.state.name,
                "value": trial.value,
                "best": best,
                "epochs": len(trial.intermediate_values),
                "params": trial.params,
                "retry_of": trial.system_attrs.get("failed_trial"),
                "worker": trial.user_attrs.get("worker"),
                "ended": trial.datetime_complete.isoformat(),
            }
        )
    return {"study": study.study_name, "metric": METRIC, "direction": "maximize", "trials": rows}


# --- the end ----------------------------------------------------------------------------------------------


def conclude(slots: Slots, delay: Delay, url: str) -> dict[str, Any]:
    """Register the best trial, in whichever worker comes first; a later one finds that it was done."""
    study = slots.study
    with Lock(url, f"registering of {study.study_name}").attempt() as mine:
        if not mine:
            return {"registered_by": "another worker"}
        if REGISTERED not in study.user_attrs:
            best = best_of(study)
            done = delay.left(study.study_name) or register(study, best, delay)
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
    return delay.register(best.params, tags, artifacts, float(best.value))


# --- all of it --------------------------------------------------------------------------------------------


def work(settings: TuneDelay, name: str | None, snapshot: int | None) -> dict[str, Any]:
    """What each worker does from start to end."""
    common.seed_everything(settings.seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    url, delay = common.env("OPTUNA_STORAGE"), Delay(settings.training, snapshot)
    slots = open_study(settings, url, name, delay.identity())
    log("study", name=slots.study.study_name, finished=slots.finished())
    done = slots.work(lambda trial: objective(delay, trial))
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


def once(settings: TuneDelay, parameters: dict[str, Any], snapshot: int | None) -> dict[str, Any]:
    """Train with these parameters and print the figures as `name=value`, where Katib finds them."""
    common.seed_everything(settings.seed)
    last: dict[str, float] = {}

    def tell(epoch: int, figures: dict[str, float]) -> None:
        last.update(figures)
        for name, value in figures.items():
            print(f"{name}={value}", flush=True)

    Delay(settings.training, snapshot).fit(parameters, tell)
    return last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--study", help="name of the study (default: made from what is asked)")
    parser.add_argument("--snapshot", type=int, help="of the flights in Iceberg (default: the last loaded)")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--sampler", choices=["tpe", "random"])
    parser.add_argument("--pruner", choices=["asha", "median", "none"])
    parser.add_argument("--seed", type=int)
    parser.add_argument("--parameters", type=json.loads, help="as JSON: train once with these, no study")
    arguments = parser.parse_args()
    given = {name: getattr(arguments, name) for name in ("trials", "sampler", "pruner", "seed")}
    changed = {name: value for name, value in given.items() if value is not None}
    settings = replace(getattr(config, arguments.config)(), **changed)
    # A worker that is asked to go gives its trial back at once; one that is killed is found by its silence.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    if arguments.parameters:
        common.run(lambda: once(settings, arguments.parameters, arguments.snapshot))
    else:
        common.run(lambda: work(settings, arguments.study, arguments.snapshot))


if __name__ == "__main__":
    main()
