"""kube-state-metrics: what there is of nodes, pods, controllers and jobs, as figures.

Its module is not published where the local stack builds from, so there a program of ours tells the same
figures, a part of them, under the same names (workloads/watch_objects). Account and scraping are one for
both, so that nothing that asks for the figures can tell the difference.
"""

from typing import Any

from infra import kube, pods
from infra.components.monitoring.settings import KubeStateMetricsSettings

NAME = "kube-state-metrics"
STAND_IN = "watch-objects"
_NOBODY = 65534
_PORT = 8080
_PORT_OF_ITS_OWN = 8081
"""Where it tells of itself; it is ready when this answers."""
RESOURCES = {
    "": ("nodes", "pods"),
    "apps": ("daemonsets", "deployments", "statefulsets"),
    "batch": ("jobs",),
}
"""What it may list and watch, by API group. No Secret, no ConfigMap, nothing that is not told of."""
_AUTHORIZATION = "rbac.authorization.k8s.io"


def objects(namespace: str, image: str | None, settings: KubeStateMetricsSettings) -> list[kube.Manifest]:
    """Account, rights and the watch over the pods, and with an image the pods."""
    metadata = kube.metadata(NAME, namespace, component=NAME)
    made = [kube.object_of("v1", "ServiceAccount", metadata), *_rights(namespace), _monitor(metadata)]
    return [*made, _deployment(metadata, image, settings)] if image else made


def _rights(namespace: str) -> list[kube.Manifest]:
    metadata = kube.metadata("seatrial-kube-state-metrics", component=NAME)
    rules = [
        {"apiGroups": [group], "resources": list(names), "verbs": ["list", "watch"]}
        for group, names in RESOURCES.items()
    ]
    version = f"{_AUTHORIZATION}/v1"
    return [
        {"apiVersion": version, "kind": "ClusterRole", "metadata": metadata, "rules": rules},
        {
            "apiVersion": version,
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _AUTHORIZATION, "kind": "ClusterRole", "name": metadata["name"]},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
        },
    ]


def _deployment(metadata: dict[str, Any], image: str, settings: KubeStateMetricsSettings) -> kube.Manifest:
    """As upstream's own example has it, but for the resources that it is to tell of."""
    named = sorted(name for names in RESOURCES.values() for name in names)
    container = {
        "name": NAME,
        "image": image,
        "args": [f"--resources={','.join(named)}"],
        "ports": [
            {"name": "http-metrics", "containerPort": _PORT},
            {"name": "telemetry", "containerPort": _PORT_OF_ITS_OWN},
        ],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": "telemetry"}, "timeoutSeconds": 5},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": "http-metrics"}, "timeoutSeconds": 5},
        "resources": settings.resources.manifest(),
        "securityContext": pods.READ_ONLY_CONTAINER,
    }
    spec = {
        "serviceAccountName": NAME,
        "securityContext": pods.security(_NOBODY),
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "containers": [container],
        "volumes": [],
    }
    template = {"metadata": {"labels": {**kube.PART_OF, **pods.selector(NAME)}}, "spec": spec}
    whole = {"replicas": 1, "selector": {"matchLabels": pods.selector(NAME)}, "template": template}
    return kube.object_of("apps/v1", "Deployment", metadata, whole)


def _monitor(metadata: dict[str, Any]) -> kube.Manifest:
    """The figures are of other pods: none of them must bear the labels of the pod that tells them."""
    relabelings = [
        {"action": "labeldrop", "regex": "pod|container|endpoint|namespace"},
        *({"targetLabel": label, "replacement": NAME} for label in ("job", "instance")),
    ]
    told_by = {"key": pods.NAME_LABEL, "operator": "In", "values": [NAME, STAND_IN]}
    spec = {
        "selector": {"matchExpressions": [told_by]},
        "podMetricsEndpoints": [
            {"port": "http-metrics", "honorLabels": True, "relabelings": relabelings},
        ],
    }
    return kube.object_of("monitoring.coreos.com/v1", "PodMonitor", metadata, spec)
