"""The same search as an Experiment of Katib: its controller makes a Job for each trial."""

from typing import Any

from workloads.pods import labels, pod
from workloads.tune_delay import config
from workloads.tune_delay.config import METRIC, SPACE, Choice, Number

FAILED = 3
"""Trials that may fail before the experiment counts as failed."""
_KATIB = {"tpe": "tpe", "random": "random"}
"""Our name of a sampler → Katib's of the algorithm."""


def experiment(
    main: dict[str, Any], *, name: str, settings: config.TuneDelay, workers: int, namespace: str
) -> dict[str, Any]:
    """An Experiment whose trials run the container `main`, `workers` at a time.

    It has no pruning: early stopping is not part of the Katib that is provisioned.
    """
    spec = {
        "objective": {
            "type": "maximize",
            "objectiveMetricName": METRIC,
            "additionalMetricNames": ["validation_loss"],
            # As Optuna is told it: after the last epoch, not the best of all.
            "metricStrategies": [
                {"name": METRIC, "value": "latest"},
                {"name": "validation_loss", "value": "latest"},
            ],
        },
        "algorithm": {
            "algorithmName": _KATIB[settings.sampler],
            "algorithmSettings": [{"name": "random_state", "value": str(settings.seed)}],
        },
        "maxTrialCount": settings.trials,
        "parallelTrialCount": min(workers, settings.trials),
        "maxFailedTrialCount": FAILED,
        "resumePolicy": "Never",
        "metricsCollectorSpec": {"collector": {"kind": "StdOut"}},
        "parameters": [_parameter(each, searched) for each, searched in SPACE.items()],
        "trialTemplate": _template(main, name),
    }
    return {
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": spec,
    }


def values() -> list[str]:
    """The trial's arguments, where Katib puts its values."""
    return [word for name in SPACE for word in (f"--{name}", f"${{trialParameters.{name}}}")]


def _parameter(name: str, searched: Number | Choice) -> dict[str, Any]:
    if isinstance(searched, Choice):
        options = [str(option) for option in searched.options]
        return {"name": name, "parameterType": "categorical", "feasibleSpace": {"list": options}}
    limits = {"min": repr(searched.low), "max": repr(searched.high), "distribution": "logUniform"}
    return {"name": name, "parameterType": "double", "feasibleSpace": limits}


def _template(main: dict[str, Any], name: str) -> dict[str, Any]:
    """Katib names the Job; one that fails is a failed trial, and the next is another one."""
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"labels": labels(name)},
        "spec": {"backoffLimit": 0, "activeDeadlineSeconds": 3600, "template": pod(name, main)},
    }
    return {
        "primaryContainerName": main["name"],
        "trialParameters": [
            {"name": each, "reference": each, "description": f"Setting {each} of the training"}
            for each in SPACE
        ],
        "trialSpec": job,
    }
