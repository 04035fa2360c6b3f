"""The parts that the workloads' manifests share: a pod that passes the `restricted` Pod Security level."""

from typing import Any

ACCESS_SECRET = "platform-access"
"""The Secret whose keys become the environment of a workload."""

WORKLOAD_LABEL = "seatrial.dev/workload"


def container(
    image: str, module: str, arguments: list[str], *, cpu: str, memory: str, memory_limit: str
) -> dict[str, Any]:
    """One container that runs `python -m module` with the platform's access in its environment."""
    return {
        "name": "main",
        "image": image,
        "command": ["python3", "-m", module, *arguments],
        "env": [
            {"name": "SEATRIAL_IMAGE", "value": image},
            {"name": "OMP_NUM_THREADS", "value": "1"},
            {"name": "HOME", "value": "/tmp"},
            {"name": "PYTHONUNBUFFERED", "value": "1"},
            {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
        ],
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
