"""The watch as a Deployment with metrics and alerts, or as a Job that looks once."""

from typing import Any

from workloads import watched
from workloads.pods import container, labels, pod
from workloads.settings import stated
from workloads.watch_drift import config as configurations

NAME = "watch-drift"
IMAGE = "watch-drift"
PARTS = ("serving",)
"""It runs on the core, but its image is built where models are served."""
FORMS = ("Deployment", "Job")

Object = dict[str, Any]


def objects(
    image: str,
    *,
    form: str = "Deployment",
    name: str = NAME,
    config: str = "reference",
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[Object]:
    """What looks again and again, with its PodMonitor and its alerts; as a Job one look.

    Raises:
        ValueError: a setting is none, or does not fit.
    """
    settings = stated(getattr(configurations, config)(), arguments)
    once = ["--once"] if form == "Job" else []
    main = container(
        image,
        "workloads.watch_drift.main",
        ["--config", config, *once, *(arguments or [])],
        cpu="100m",
        memory="512Mi",
        memory_limit="2Gi",
    )
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    if form == "Job":
        spec = {"backoffLimit": 2, "activeDeadlineSeconds": 1800, "template": pod(name, main)}
        return [{"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}]
    main["ports"] = [{"name": "http", "containerPort": settings.port}]
    main["readinessProbe"] = {"httpGet": {"path": "/metrics", "port": "http"}, "periodSeconds": 5}
    return [
        _deployment(main, metadata),
        watched.monitor(metadata, port="http", interval="15s"),
        _rules(metadata, settings.name),
    ]


def _deployment(main: Object, metadata: Object) -> Object:
    name = metadata["name"]
    spec = {
        "replicas": 1,
        # Two at once would write the same table.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "template": pod(name, main, restartPolicy="Always"),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _rules(metadata: Object, watch: str) -> Object:
    """Of this watch alone: of another one that is gone they would say nothing."""
    usual = configurations.WatchDrift.name
    return watched.rules(__file__, metadata, f'watch="{usual}"', f'watch="{watch}"')
