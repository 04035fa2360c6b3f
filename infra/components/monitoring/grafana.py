"""Grafana, for cloud stacks: its images are not built here.

Its chart comes with no Go module, so this is a manifest of our own (docs/adr/0086).
"""

import json
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import kube, pods
from infra.components.monitoring.dashboards import LABEL
from infra.components.monitoring.settings import GrafanaSettings
from infra.secrets import GeneratedSecret
from infra.settings_base import Resources

NAME = "grafana"
PORT = 3000
_UID = 472
"""The user of the image."""
_LOADER = Resources(cpu="10m", memory="128Mi")
_PROVISIONING, _DASHBOARDS, _DATA, _TMP = (
    "/etc/grafana/provisioning", "/var/lib/dashboards", "/var/lib/grafana", "/tmp",
)  # fmt: skip
_GROUP = "rbac.authorization.k8s.io"


@dataclass(frozen=True, kw_only=True)
class GrafanaInputs:
    """What the rest of the program must hand over."""

    image: str
    sidecar_image: str
    """Writes labelled ConfigMaps into Grafana's folder."""


def register(
    settings: GrafanaSettings,
    inputs: GrafanaInputs,
    namespace: str,
    prometheus: str,
    scrape_interval: str,
    opts: pulumi.ResourceOptions,
) -> None:
    """All of Grafana. `prometheus` is its address; nothing waits for Grafana."""
    metadata = kube.metadata(NAME, namespace, component=NAME)
    login = GeneratedSecret(metadata, random=("password",), fixed={"user": "admin"}, opts=opts)
    provisioning = _provisioning(metadata, prometheus, scrape_interval)
    made = [login, kube.Object(provisioning, opts)]
    made += [kube.Object(each, opts) for each in _rights(metadata)]
    kube.Object(pods.service(metadata, pods.selector(NAME), {"http": PORT}), opts)
    kube.Object(pods.service_monitor(metadata, pods.selector(NAME), {"port": "http"}), opts)
    template = {
        "metadata": {
            "labels": {**kube.PART_OF, **pods.selector(NAME)},
            "annotations": pods.configuration_hash(provisioning["data"]),
        },
        "spec": _pod(settings, inputs),
    }
    spec = {
        "replicas": 1,
        # What is written in it is gone with its pod; two would each have sessions of their own.
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": pods.selector(NAME)},
        "template": template,
    }
    kube.Object(kube.object_of("apps/v1", "Deployment", metadata, spec), kube.after(opts, *made))


def _provisioning(metadata: dict[str, Any], prometheus: str, scrape_interval: str) -> dict[str, Any]:
    """What Grafana reads when it starts. JSON is YAML."""
    source = {
        "name": "Prometheus",
        "uid": "prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus,
        "isDefault": True,
        # `$__rate_interval` is made of it.
        "jsonData": {"timeInterval": scrape_interval, "httpMethod": "POST"},
    }
    provider = {
        "name": "seatrial",
        "folder": "Seatrial",
        "type": "file",
        "allowUiUpdates": False,
        "updateIntervalSeconds": 30,
        "options": {"path": _DASHBOARDS},
    }
    data = {
        "datasources.yaml": json.dumps({"apiVersion": 1, "datasources": [source]}),
        "dashboards.yaml": json.dumps({"apiVersion": 1, "providers": [provider]}),
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def _rights(metadata: dict[str, Any]) -> list[kube.Manifest]:
    """The sidecar may read ConfigMaps where the dashboards are, and nowhere else."""
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]
    who = {"kind": "ServiceAccount", "name": NAME, "namespace": metadata["namespace"]}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": NAME},
            "subjects": [who],
        },
    ]


def _pod(settings: GrafanaSettings, inputs: GrafanaInputs) -> dict[str, Any]:
    return {
        "serviceAccountName": NAME,
        "securityContext": pods.security(_UID),
        "containers": [_grafana(settings, inputs.image), _sidecar(inputs.sidecar_image)],
        "volumes": [
            {"name": "provisioning", "configMap": {"name": NAME, "items": _items()}},
            *({"name": each, "emptyDir": {}} for each in ("dashboards", "data", "tmp")),
        ],
    }


def _items() -> list[dict[str, str]]:
    kinds = ("datasources", "dashboards")
    return [{"key": f"{each}.yaml", "path": f"{each}/seatrial.yaml"} for each in kinds]


def _grafana(settings: GrafanaSettings, image: str) -> dict[str, Any]:
    health = {"httpGet": {"path": "/api/health", "port": "http"}}
    plain = {
        "GF_PATHS_DATA": _DATA,
        "GF_LOG_MODE": "console",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_SECURITY_DISABLE_GRAVATAR": "true",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
    }
    login = {"GF_SECURITY_ADMIN_USER": (NAME, "user"), "GF_SECURITY_ADMIN_PASSWORD": (NAME, "password")}
    return {
        "name": NAME,
        "image": image,
        "env": pods.env(plain) + pods.secret_env(login),
        "ports": [{"name": "http", "containerPort": PORT}],
        "resources": settings.resources.manifest(),
        "securityContext": pods.READ_ONLY_CONTAINER,
        "startupProbe": {**health, "periodSeconds": 2, "failureThreshold": 60},
        "readinessProbe": health,
        "livenessProbe": {**health, "failureThreshold": 6},
        "volumeMounts": [
            {"name": "provisioning", "mountPath": _PROVISIONING, "readOnly": True},
            {"name": "dashboards", "mountPath": _DASHBOARDS, "readOnly": True},
            {"name": "data", "mountPath": _DATA},
            {"name": "tmp", "mountPath": _TMP},
        ],
    }


def _sidecar(image: str) -> dict[str, Any]:
    [(label, value)] = LABEL.items()
    told = {
        "METHOD": "WATCH",
        "RESOURCE": "configmap",
        "LABEL": label,
        "LABEL_VALUE": value,
        "FOLDER": _DASHBOARDS,
    }
    return {
        "name": "dashboards",
        "image": image,
        "env": pods.env(told),
        "resources": _LOADER.manifest(),
        "securityContext": pods.READ_ONLY_CONTAINER,
        "volumeMounts": [
            {"name": "dashboards", "mountPath": _DASHBOARDS},
            {"name": "tmp", "mountPath": _TMP},
        ],
    }
