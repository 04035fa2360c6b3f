"""The study: what is searched and how, and what came of it. Knows Optuna and not the model."""

import json
from dataclasses import asdict
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from workloads.common import WorkloadError, digest
from workloads.tune_delay.config import METRIC, SPACE, Choice, TuneDelay
from workloads.tune_delay.lock import Lock
from workloads.tune_delay.slots import SLOT, Slots, storage

ASKED = "asked"
"""User attribute of a study: what it is about."""
STARTUP = 6
"""Trials chosen at random before TPE has something to learn from."""


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
    name = name or f"tune-delay-{digest(json.dumps(asked, sort_keys=True).encode())[:10]}"
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
    then, now = flat(there), flat(asked)
    differing = [
        f"{key} was {then.get(key)} and is {now.get(key)}"
        for key in sorted(then.keys() | now.keys())
        if then.get(key) != now.get(key)
    ]
    if differing:
        raise WorkloadError(
            f"study {name} is there and was asked something else: {', '.join(differing)}; "
            "give this study another name (--study)"
        )


def flat(nested: Any, path: str = "") -> dict[str, Any]:
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    if not isinstance(nested, dict):
        return {path: nested}
    below = (flat(value, f"{path}.{key}" if path else key) for key, value in nested.items())
    return {key: value for part in below for key, value in part.items()}


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
