"""dcgm-exporter: what DCGM tells of the GPUs of each node that has some.

For cloud stacks: its image is not built here. Where NVIDIA's operator runs one already this one stays off.
"""

from typing import Any

from infra import kube, pods
from infra.components.monitoring.nodes import monitor_by_node
from infra.components.monitoring.settings import DcgmSettings

NAME = "dcgm-exporter"
PORT = 9400
_UID = 1000
_NODES = {"nvidia.com/gpu.present": "true"}
_COUNTERS = "/etc/dcgm-exporter/default-counters.csv"
_ENVIRONMENT = {
    "DCGM_EXPORTER_LISTEN": f":{PORT}",
    # Which pod has a GPU is read from a folder of the node, which Pod Security level `restricted` refuses.
    "DCGM_EXPORTER_KUBERNETES": "false",
    "HOME": "/tmp",
}


def objects(namespace: str, image: str, settings: DcgmSettings) -> list[kube.Manifest]:
    """The pods and the watch over them."""
    metadata = kube.metadata(NAME, namespace, component=NAME)
    template = {
        "metadata": {"labels": {**kube.PART_OF, **pods.selector(NAME)}},
        "spec": _pod(image, settings),
    }
    spec = {"selector": {"matchLabels": pods.selector(NAME)}, "template": template}
    return [kube.object_of("apps/v1", "DaemonSet", metadata, spec), monitor_by_node(NAME, metadata)]


def _pod(image: str, settings: DcgmSettings) -> dict[str, Any]:
    """As upstream's chart for those who do without profiling: no root, no SYS_ADMIN."""
    health = {"httpGet": {"path": "/health", "port": "metrics"}}
    container = {
        "name": NAME,
        "image": image,
        "args": ["-f", _COUNTERS],
        "env": [
            *pods.env(_ENVIRONMENT),
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "readinessProbe": {**health, "initialDelaySeconds": 10, "timeoutSeconds": 5},
        "livenessProbe": {**health, "initialDelaySeconds": 45, "periodSeconds": 20, "timeoutSeconds": 5},
        "resources": settings.resources.manifest(),
        "securityContext": pods.READ_ONLY_CONTAINER,
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }
    runtime = {"runtimeClassName": settings.runtime_class} if settings.runtime_class else {}
    return {
        **runtime,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.security(_UID),
        "nodeSelector": _NODES,
        "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "tmp", "emptyDir": {}}],
    }
