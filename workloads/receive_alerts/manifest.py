"""The receiver's pod, its volume, the way to it and the watch over it."""

from typing import Any

from workloads import image_of, watched
from workloads.pods import container, environment, labels, pod

NAME = "receive-alerts"
OWN_IMAGE = "booking-api"
"""It needs the same packages, and no more."""
PORT = 8080

Object = dict[str, Any]


def objects(
    image: str,
    *,
    config: str = "reference",
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[Object]:
    """One pod: its volume cannot be on two nodes."""
    metadata: Object = {"name": NAME, "namespace": namespace, "labels": labels(NAME)}
    own = {"app.kubernetes.io/name": NAME}
    main = _container(image_of(image, OWN_IMAGE), ["--config", config, *(arguments or [])])
    template = pod(NAME, main, restartPolicy="Always")
    template["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": NAME}})
    claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    deployment = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": own},
        "template": template,
    }
    service = {"selector": own, "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return [
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": claim},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        watched.monitor(metadata, port="http"),
    ]


def _container(image: str, arguments: list[str]) -> Object:
    main = container(
        image, "workloads.receive_alerts.main", arguments, cpu="10m", memory="96Mi", memory_limit="256Mi"
    )
    del main["envFrom"]  # It needs nothing of the platform, which may be what is down.
    main["env"] = environment(image)
    main["securityContext"]["readOnlyRootFilesystem"] = True
    main["ports"] = [{"name": "http", "containerPort": PORT}]
    main["startupProbe"] = _probe("/healthz", periodSeconds=1, failureThreshold=60)
    main["readinessProbe"] = _probe("/readyz", periodSeconds=5, timeoutSeconds=4)
    main["livenessProbe"] = _probe("/healthz", periodSeconds=10, timeoutSeconds=5)
    main["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    return main


def _probe(path: str, **timing: int) -> Object:
    return {"httpGet": {"path": path, "port": "http"}, **timing}
