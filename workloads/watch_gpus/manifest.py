"""A pod on each node with GPUs, which asks the driver of all of them and takes none."""

from typing import Any

from workloads import watched
from workloads.pods import container, environment, labels, pod
from workloads.settings import stated
from workloads.watch_gpus import config as configurations

NAME = "watch-gpus"
IMAGE = "booking-api"
"""The small image: this needs of it nvidia-ml-py and prometheus-client."""
NAMESPACE = "platform-monitoring"
NODES = {"nvidia.com/gpu.present": "true"}
"""Label of nodes with GPUs, which NVIDIA's operator puts there."""


def objects(
    image: str,
    *,
    config: str = "reference",
    namespace: str = NAMESPACE,
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """The DaemonSet and its scraping. The container runtime must be NVIDIA's, which brings the library in."""
    settings = stated(getattr(configurations, config)(), arguments)
    main = container(
        image,
        "workloads.watch_gpus.main",
        ["--config", config, *(arguments or [])],
        cpu="10m",
        memory="48Mi",
        memory_limit="128Mi",
    )
    del main["envFrom"]  # It needs nothing of the platform.
    main["env"] = [
        *environment(image),
        # All GPUs are seen and none is taken: another pod has them.
        {"name": "NVIDIA_VISIBLE_DEVICES", "value": "all"},
        {"name": "NVIDIA_DRIVER_CAPABILITIES", "value": "utility"},
    ]
    main["securityContext"]["readOnlyRootFilesystem"] = True
    main["ports"] = [{"name": "metrics", "containerPort": settings.port}]
    # A node whose driver is not loaded yet has a pod that says so; to start it anew would not load it.
    main["livenessProbe"] = {
        "httpGet": {"path": "/livez", "port": "metrics"}, "timeoutSeconds": 5, "periodSeconds": 20,
    }  # fmt: skip
    template = pod(
        NAME,
        main,
        restartPolicy="Always",
        nodeSelector=NODES,
        tolerations=[{"key": "nvidia.com/gpu", "operator": "Exists"}],
    )
    metadata = {"name": NAME, "namespace": namespace, "labels": labels(NAME)}
    spec = {"selector": {"matchLabels": {"app.kubernetes.io/name": NAME}}, "template": template}
    return [
        {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": metadata, "spec": spec},
        _monitor(metadata),
    ]


def _monitor(metadata: dict[str, Any]) -> dict[str, Any]:
    """The job is dcgm-exporter's, whose figures these are."""
    node = [
        {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": label}
        for label in ("instance", "node")
    ]
    relabelings = [*node, {"targetLabel": "job", "replacement": "dcgm-exporter"}]
    return watched.monitor(metadata, port="metrics", relabelings=relabelings)
