"""The Job whose pods are the workers of one study."""

from typing import Any

from workloads.pods import container, labels, pod

NAME = "tune-delay"
PARTS = ("tuning",)


def objects(
    image: str,
    *,
    name: str = NAME,
    config: str = "reference",
    workers: int = 2,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """One indexed Job, a pod a worker. A worker that is lost is replaced; its trials are in the study."""
    main = container(
        image,
        "workloads.tune_delay.main",
        ["--config", config, *(arguments or [])],
        cpu="200m",
        memory="700Mi",
        memory_limit="2Gi",
    )
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
