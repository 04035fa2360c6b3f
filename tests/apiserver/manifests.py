"""Small objects that the tests of this folder share."""

from typing import Any

Object = dict[str, Any]

CONFIG_MAP = "kubernetes:core/v1:ConfigMap"
DEPLOYMENT = "kubernetes:apps/v1:Deployment"
JOB = "kubernetes:batch/v1:Job"
POD = "kubernetes:core/v1:Pod"
SECRET = "kubernetes:core/v1:Secret"
SERVICE = "kubernetes:core/v1:Service"


def meta(namespace: str, name: str, **annotations: str) -> Object:
    """Metadata; a keyword `skipAwait="true"` becomes the annotation `pulumi.com/skipAwait`."""
    found: Object = {"name": name, "namespace": namespace}
    if annotations:
        found["annotations"] = {f"pulumi.com/{key}": value for key, value in annotations.items()}
    return found


def config_map(namespace: str, name: str = "settings", **data: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta(namespace, name),
        "data": data or {"color": "blue"},
    }


def pod_template(labels: Object, image: str = "example.org/app:1") -> Object:
    return {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}}


def deployment(namespace: str, name: str = "web", replicas: int = 1, **annotations: str) -> Object:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": meta(namespace, name, **annotations),
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod_template(labels)},
    }


def job(namespace: str, name: str = "once", **annotations: str) -> Object:
    template = pod_template({"job": name})
    template["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta(namespace, name, **annotations),
        "spec": {"template": template, "backoffLimit": 0},
    }


def pod(namespace: str, name: str = "single", **annotations: str) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta(namespace, name, **annotations), "labels": {"app": name}},
        "spec": {"containers": [{"name": "app", "image": "example.org/app:1"}]},
    }


def service(namespace: str, name: str = "front", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta(namespace, name),
        "spec": {"ports": [{"port": 80}], **spec},
    }


def definition(kind: str, scope: str = "Namespaced", group: str = "trial.example.org") -> Object:
    """A CustomResourceDefinition whose objects may hold anything."""
    plural = f"{kind.lower()}s"
    schema = {
        "type": "object",
        "properties": {
            "spec": {"type": "object", "x_kubernetes_preserve_unknown_fields": True},
            "status": {"type": "object", "x_kubernetes_preserve_unknown_fields": True},
        },
    }
    version = {
        "name": "v1",
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": {"status": {}},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": scope,
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [version],
        },
    }
