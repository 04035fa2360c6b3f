"""What runs the shipper, and how it is watched.

A Deployment and not a CronJob: what it tells Prometheus must be there to be read between two rounds, and its
lag must be seen to grow while rounds fail.
"""

from typing import Any

from workloads import watched
from workloads.pods import container, labels, pod
from workloads.settings import stated
from workloads.ship_predictions import config as configurations
from workloads.ship_predictions.config import ShipPredictions

NAME = "ship-predictions"
IMAGE = "booking-api"
"""Small, and with all that it needs."""
PARTS = ("serving",)

Object = dict[str, Any]


def objects(
    image: str,
    *,
    name: str = NAME,
    config: str = "reference",
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[Object]:
    """One pod. A second one would do no harm: they take turns, and a row that is there is not written
    again.
    """
    settings = stated(getattr(configurations, config)(), arguments)
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    return [
        *(_account(metadata) if settings.keep_days else []),
        _deployment(image, metadata, settings, ["--config", config, *(arguments or [])]),
        watched.monitor(metadata, port="http", interval="15s"),
        watched.rules(__file__, metadata, watched.series_of(NAME), watched.series_of(name, namespace)),
    ]


def _deployment(image: str, metadata: Object, settings: ShipPredictions, arguments: list[str]) -> Object:
    name = metadata["name"]
    main = container(
        image, "workloads.ship_predictions.main", arguments, cpu="50m", memory="128Mi", memory_limit="512Mi"
    )
    main["ports"] = [{"name": "http", "containerPort": settings.port}]
    rights = {"serviceAccountName": name, "automountServiceAccountToken": True} if settings.keep_days else {}
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app.kubernetes.io/name": name}},
        "template": pod(name, main, restartPolicy="Always", **rights),
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _account(metadata: Object) -> list[Object]:
    """Who deletes from the log may see what routes say of its readers, and nothing else."""
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["list"]}
    name, namespace = metadata["name"], metadata["namespace"]
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
        },
    ]
