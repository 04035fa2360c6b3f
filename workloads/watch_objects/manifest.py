"""The Deployment of what stands in for kube-state-metrics; account and scraping are the platform's."""

from typing import Any

from workloads.pods import container, environment, labels, pod
from workloads.settings import stated
from workloads.watch_objects import config as configurations

NAME = "watch-objects"
IMAGE = "booking-api"
"""The small image: this needs of it httpx and prometheus-client."""
NAMESPACE = "platform-monitoring"
ACCOUNT = "kube-state-metrics"
"""Made by the platform in every stack: it may list and watch six resources, and nothing else."""


def objects(
    image: str,
    *,
    config: str = "reference",
    namespace: str = NAMESPACE,
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """One pod. With a second one everything would be told twice."""
    settings = stated(getattr(configurations, config)(), arguments)
    main = container(
        image,
        "workloads.watch_objects.main",
        ["--config", config, *(arguments or [])],
        cpu="10m",
        memory="64Mi",
        memory_limit="192Mi",
    )
    del main["envFrom"]  # It needs nothing of the platform.
    main["env"] = environment(image)
    main["securityContext"]["readOnlyRootFilesystem"] = True
    main["ports"] = [{"name": "http-metrics", "containerPort": settings.port}]
    main["readinessProbe"] = _probe("/readyz", periodSeconds=2)
    main["livenessProbe"] = _probe("/livez", periodSeconds=20)
    template = pod(
        NAME, main, restartPolicy="Always", serviceAccountName=ACCOUNT, automountServiceAccountToken=True
    )
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        "template": template,
    }
    metadata = {"name": NAME, "namespace": namespace, "labels": labels(NAME)}
    return [{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}]


def _probe(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": "http-metrics"}, "timeoutSeconds": 5, **timing}
