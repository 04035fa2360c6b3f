"""The Job that runs the load."""

from typing import Any

from workloads.pods import container, labels, pod

NAME = "ingest-flights"


def objects(image: str, *, config: str = "reference", namespace: str = "workloads") -> list[dict[str, Any]]:
    """One Job; it is tried twice, because a load that was cut off can simply be run again."""
    main = container(
        image,
        "workloads.ingest_flights.main",
        ["--config", config],
        cpu="200m",
        memory="256Mi",
        memory_limit="1Gi",
    )
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels(NAME)},
        "spec": {"backoffLimit": 1, "activeDeadlineSeconds": 900, "template": pod(NAME, main)},
    }
    return [job]
