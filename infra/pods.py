"""The pieces of pods and Services that more than one component writes the same way."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra import kube

NAME_LABEL = "app.kubernetes.io/name"
CONFIGURATION_HASH = "seatrial.dev/configuration"
"""Annotation of a pod template: a changed configuration is a changed template, hence a restart."""


def selector(component: str) -> dict[str, str]:
    """The label that finds a component's pods, and nothing else of it (Jobs have a name of their own)."""
    return {NAME_LABEL: component}


def service(metadata: Mapping[str, Any], pods: Mapping[str, str], ports: Mapping[str, int]) -> dict[str, Any]:
    """A Service inside the cluster; ports by name, the same on the pod."""
    listed = [{"name": name, "port": port, "targetPort": port} for name, port in ports.items()]
    spec = {"type": "ClusterIP", "selector": dict(pods), "ports": listed}
    return {"apiVersion": "v1", "kind": "Service", "metadata": dict(metadata), "spec": spec}


def env(plain: Mapping[str, pulumi.Input[str]]) -> list[dict[str, Any]]:
    """Environment variables that anyone may read."""
    return [{"name": name, "value": value} for name, value in plain.items()]


def secret_env(entries: Mapping[str, tuple[str, str]]) -> list[dict[str, Any]]:
    """Environment variables from Secrets: variable → (Secret, key)."""
    return [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}
        for name, (secret, key) in entries.items()
    ]


def security(uid: int) -> dict[str, Any]:
    """A pod's security context: one user, who may write the pod's volumes.

    Files that already belong to the group are left alone, so that a big volume does not slow a start.
    """
    return {
        **kube.RESTRICTED_POD,
        "runAsUser": uid,
        "runAsGroup": uid,
        "fsGroup": uid,
        "fsGroupChangePolicy": "OnRootMismatch",
    }


READ_ONLY_CONTAINER = {**kube.RESTRICTED_CONTAINER, "readOnlyRootFilesystem": True}
"""A container's security context where all that it writes is on volumes."""


def claim(name: str, size: str) -> dict[str, Any]:
    """A StatefulSet's volume claim, of the cluster's default storage class."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec}


def configuration_hash(*parts: pulumi.Input[Mapping[str, Any]]) -> dict[str, pulumi.Output[str]]:
    """The annotation for a pod template that reads these configurations."""
    return {CONFIGURATION_HASH: pulumi.Output.all(*parts).apply(_digest)}


def _digest(parts: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def service_monitor(
    metadata: Mapping[str, Any], pods: Mapping[str, str], endpoint: Mapping[str, Any]
) -> dict[str, Any]:
    """Tells Prometheus to scrape a Service of the same labels."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": dict(metadata),
        "spec": {"selector": {"matchLabels": dict(pods)}, "endpoints": [dict(endpoint)]},
    }
