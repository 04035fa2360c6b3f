"""The Job that sends a load from inside the cluster."""

from typing import Any

from workloads.pods import container, labels, pod

NAME = "generate-load"
PARTS = ("serving",)


def objects(
    image: str,
    *,
    name: str = NAME,
    config: str = "reference",
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """One Job of one pod, which is not tried again: a load that failed half-way has been sent."""
    main = container(
        image,
        "workloads.generate_load.main",
        ["--config", config, *(arguments or [])],
        cpu="500m",
        memory="128Mi",
        memory_limit="512Mi",
    )
    # Told to end, it waits for what is under way and puts what it has into the object store.
    template = pod(name, main, terminationGracePeriodSeconds=60)
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": 3600, "template": template}
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    return [{"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}]
