"""The pools as Kueue's ResourceFlavors, the quota as its ClusterQueue, and the LocalQueue that jobs name."""

from typing import Any

from infra import kube
from infra.components.queueing.settings import PoolSettings, QueueingSettings

API = "kueue.x-k8s.io/v1beta1"
_GPU = "nvidia.com/gpu"
_RESOURCES = ("cpu", "memory", _GPU)
"""What is shared; Kueue wants each pool to name all of them, in this order."""
_GPU_LABEL = {f"{_GPU}.present": "true"}
_GPU_TAINT = {"key": _GPU, "value": "present", "effect": "NoSchedule"}
"""What nodes with GPUs carry, and the GPU runtimes select and tolerate."""


def objects(settings: QueueingSettings, queue: str, namespace: str) -> list[kube.Manifest]:
    """All three, in the order in which they need each other."""
    flavors = [_flavor(name, pool) for name, pool in settings.pools.items()]
    return [*flavors, _cluster_queue(settings, queue, namespace), _local_queue(queue, namespace)]


def _flavor(name: str, pool: PoolSettings) -> kube.Manifest:
    """Labels are where its jobs go, taints are what a job must tolerate to be let in."""
    with_gpus = pool.gpus > 0
    spec = {
        "nodeLabels": {**pool.node_labels, **(_GPU_LABEL if with_gpus else {})},
        "nodeTaints": [_GPU_TAINT] if with_gpus else [],
    }
    return kube.object_of(
        API, "ResourceFlavor", _metadata(name), {key: value for key, value in spec.items() if value}
    )


def _cluster_queue(settings: QueueingSettings, queue: str, namespace: str) -> kube.Manifest:
    quotas = [{"name": name, "resources": _quota(pool)} for name, pool in settings.pools.items()]
    group = {"coveredResources": list(_RESOURCES), "flavors": quotas}
    spec = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "resourceGroups": [group],
    }
    return kube.object_of(API, "ClusterQueue", _metadata(queue), spec)


def _quota(pool: PoolSettings) -> list[dict[str, Any]]:
    amounts = (pool.cpu, pool.memory, str(pool.gpus))
    return [{"name": name, "nominalQuota": amount} for name, amount in zip(_RESOURCES, amounts, strict=True)]


def _local_queue(queue: str, namespace: str) -> kube.Manifest:
    return kube.object_of(API, "LocalQueue", _metadata(queue, namespace), {"clusterQueue": queue})


def _metadata(name: str, namespace: str | None = None) -> dict[str, Any]:
    return kube.metadata(name, namespace, component="queueing")
