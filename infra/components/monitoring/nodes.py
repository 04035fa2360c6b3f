"""node_exporter on every node: what the kernel tells of processors, memory, disks, pressure and the clock.

Its pods have the rights of any pod: no host namespace, no folder of the node. What a kernel tells in /proc
and /sys of the whole machine it tells there too, and the two file systems that a node fills are reached by
what every pod has: its root lies where containers do, an empty volume where the kubelet keeps all of them.
"""

from typing import Any

from infra import kube, pods
from infra.settings_base import Resources

NAME = "node-exporter"
PORT = 9100
_NOBODY = 65534
_KUBELET = "/var/lib/kubelet"
"""Where the volume is mounted, so that its figures bear the name of the file system that it is on."""
_COLLECTORS = (
    "cpu", "diskstats", "filesystem", "loadavg", "meminfo", "pressure", "stat", "time", "timex", "vmstat",
)  # fmt: skip
"""Those that tell the same in a pod as outside. The network's would show the pod's own."""
_OPTIONS = (
    "--collector.disable-defaults",
    *(f"--collector.{each}" for each in _COLLECTORS),
    f"--collector.filesystem.mount-points-include=^({_KUBELET}|/)$",
    # Left out by default is what a container's root is.
    "--collector.filesystem.fs-types-exclude=^$",
    f"--web.listen-address=:{PORT}",
)


def objects(namespace: str, image: str, resources: Resources) -> list[kube.Manifest]:
    """The pods and the watch over them."""
    metadata = kube.metadata(NAME, namespace, component=NAME)
    template = {
        "metadata": {"labels": {**kube.PART_OF, **pods.selector(NAME)}},
        "spec": _pod(image, resources),
    }
    spec = {
        "selector": {"matchLabels": pods.selector(NAME)},
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}},
        "template": template,
    }
    return [kube.object_of("apps/v1", "DaemonSet", metadata, spec), monitor_by_node(NAME, metadata)]


def _pod(image: str, resources: Resources) -> dict[str, Any]:
    answers = {"httpGet": {"path": "/", "port": "metrics"}}
    container = {
        "name": NAME,
        "image": image,
        "args": list(_OPTIONS),
        "ports": [{"name": "metrics", "containerPort": PORT}],
        "readinessProbe": answers,
        "livenessProbe": {**answers, "periodSeconds": 30, "timeoutSeconds": 5},
        "resources": resources.manifest(),
        "securityContext": pods.READ_ONLY_CONTAINER,
        "volumeMounts": [{"name": "kubelet", "mountPath": _KUBELET, "readOnly": True}],
    }
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pods.security(_NOBODY),
        "nodeSelector": {"kubernetes.io/os": "linux"},
        # Whatever keeps other pods off a node, its figures are wanted.
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "kubelet", "emptyDir": {}}],
    }


def monitor_by_node(name: str, metadata: dict[str, Any]) -> kube.Manifest:
    """A node keeps its figures' name when its pod is made anew: `instance` is the node."""
    named = [
        {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": label}
        for label in ("instance", "node")
    ]
    spec = {
        "jobLabel": pods.NAME_LABEL,
        "selector": {"matchLabels": pods.selector(name)},
        "podMetricsEndpoints": [{"port": "metrics", "relabelings": named}],
    }
    return kube.object_of("monitoring.coreos.com/v1", "PodMonitor", metadata, spec)
