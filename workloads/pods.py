"""The parts that the workloads' manifests share: a pod that passes the `restricted` Pod Security level."""

import uuid
from collections.abc import Mapping
from typing import Any

ACCESS_SECRET = "platform-access"
"""The Secret whose keys become the environment of a workload."""
ACCESS_KEYS = (
    "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "S3_BUCKET",
    "TRINO_URL", "TRINO_USER", "TRINO_PASSWORD", "TRINO_CA",
    "MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD",
)  # fmt: skip
"""Those that a training needs; a TrainJob must name each."""

WORKLOAD_LABEL = "seatrial.dev/workload"


def container(
    image: str, module: str, arguments: list[str], *, cpu: str, memory: str, memory_limit: str
) -> dict[str, Any]:
    """One container that runs `python -m module` with the platform's access in its environment."""
    return {
        "name": "main",
        "image": image,
        "command": ["python3", "-m", module, *arguments],
        "env": environment(image),
        "envFrom": [{"secretRef": {"name": ACCESS_SECRET}}],
        "resources": {
            "requests": {"cpu": cpu, "memory": memory},
            "limits": {"cpu": "2", "memory": memory_limit},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
    }


def environment(image: str) -> list[dict[str, Any]]:
    """What every workload has in its environment besides the platform's access."""
    return [
        {"name": "SEATRIAL_IMAGE", "value": image},
        {"name": "OMP_NUM_THREADS", "value": "1"},
        {"name": "HOME", "value": "/tmp"},
        {"name": "PYTHONUNBUFFERED", "value": "1"},
        {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
    ]


def access() -> list[dict[str, Any]]:
    """The platform's access, variable by variable; a key that the Secret lacks is left out."""
    return [
        {
            "name": key,
            "valueFrom": {"secretKeyRef": {"name": ACCESS_SECRET, "key": key, "optional": True}},
        }
        for key in ACCESS_KEYS
    ]


def identity(name: str, training: str | None) -> dict[str, str]:
    """The variable that says which training this is: one to go on with, or a new one of the job `name`."""
    return {"name": "TRAINING_ID", "value": training or f"{name}-{uuid.uuid4().hex[:8]}"}


def pod(name: str, main: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A pod template that runs once, as nobody in particular and without an API token."""
    return {
        "metadata": {"labels": labels(name)},
        "spec": {
            "restartPolicy": "Never",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 10001,
                "runAsGroup": 10001,
                "fsGroup": 10001,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationGracePeriodSeconds": 5,
            "containers": [main],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
            **more,
        },
    }


def labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/name": name, WORKLOAD_LABEL: name}


def on_a_node(selector: Mapping[str, str]) -> dict[str, Any]:
    """As podAffinity: on the node of a pod with these labels; as podAntiAffinity: on no such node."""
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": dict(selector)}}
    return {"requiredDuringSchedulingIgnoredDuringExecution": [term]}
