"""The Job whose pods are the workers of one study, or the Experiment of Katib that searches the same."""

from typing import Any

from workloads.pods import container, labels, pod
from workloads.settings import stated
from workloads.tune_delay import config as configurations
from workloads.tune_delay.experiment import experiment, values

NAME = "tune-delay"
PARTS = ("tuning",)
FORMS = ("Job", "Experiment")
"""The first wherever it is not said which; the second needs Katib, which cloud stacks may have."""


def objects(
    image: str,
    *,
    form: str = "Job",
    name: str = NAME,
    config: str = "reference",
    workers: int = 2,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """One indexed Job, a pod a worker: a worker that is lost is replaced, and its trials are in the study.

    As an Experiment so many trials run at once, each in a Job that Katib makes.

    Raises:
        ValueError: a setting is none, or does not fit.
    """
    settings = stated(getattr(configurations, config)(), arguments)
    program, given = ("katib_trial", values()) if form == "Experiment" else ("main", [])
    main = container(
        image,
        f"workloads.tune_delay.{program}",
        ["--config", config, *given, *(arguments or [])],
        cpu="200m",
        memory="700Mi",
        memory_limit="2Gi",
    )
    if form == "Experiment":
        return [experiment(main, name=name, settings=settings, workers=workers, namespace=namespace)]
    spec = {
        "completionMode": "Indexed",
        "completions": workers,
        "parallelism": workers,
        "backoffLimitPerIndex": 10,
        # What the cluster takes away (a drained node, a preemption) is not the worker's failure.
        "podFailurePolicy": {
            "rules": [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget"}]}]
        },
        "activeDeadlineSeconds": 3600,
        "template": pod(name, main),
    }
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    return [{"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}]
