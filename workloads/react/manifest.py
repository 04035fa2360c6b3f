"""The objects of the reaction: one process, an account that may do what it does, its policy, its alert."""

from pathlib import Path
from typing import Any

from workloads import image_of, watched
from workloads.pods import container, labels, pod

NAME = "react"
OWN_IMAGE = "react"
PARTS = ("serving",)
PORT = 8080
POLICY = Path(__file__).with_name("policy.yaml")
TOKEN_SECRET, TOKEN_KEY = "{name}-token", "token"
"""Who tells alerts, or reads the trail, shows this: `authorization: Bearer …`."""
PAGE_SECRET, PAGE_KEY = "{name}-page", "url"
"""Where a person is told; optional. Such addresses often carry a key, hence a Secret."""
RECEIVES = {"seatrial.dev/receives": "alerts"}
"""Label by which Alertmanager finds whom to tell besides its own receiver."""
HEARTBEAT = "Watchdog"
RBAC = "rbac.authorization.k8s.io"

Object = dict[str, Any]


def objects(
    image: str,
    *,
    name: str = NAME,
    policy: str | None = None,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[Object]:
    """What runs the reaction; `policy` is the YAML of one, by default that beside this file."""
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    text = policy if policy is not None else POLICY.read_text()
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": _rights()},
        _binding(metadata),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"policy.yaml": text}},
        _deployment(image, text, metadata, arguments or []),
        _service(metadata),
        watched.monitor(metadata, port="http", interval="15s"),
        watched.rules(__file__, metadata, watched.series_of(NAME), watched.series_of(name, namespace)),
        _route(metadata),
    ]


def _rights() -> list[Object]:
    """What `client` asks of the API server for a rollback, a training and a canary, and no more."""

    def right(group: str, resources: str, *verbs: str) -> Object:
        return {"apiGroups": [group], "resources": resources.split(), "verbs": list(verbs)}

    return [
        # The weights of a model, and the record of its rollout.
        right("gateway.networking.k8s.io", "httproutes", "get", "update"),
        # A version that is to be a canary is served; whether its pods start is looked at.
        right("serving.kserve.io", "inferenceservices", "get", "list", "create", "patch"),
        right("apps", "deployments", "get"),
        # A canary has a number of pods that is said: an autoscaler of its name would go.
        right("autoscaling", "horizontalpodautoscalers", "delete"),
        # A training is made, followed and, when it has ended, replaced by the next.
        right("trainer.kubeflow.org", "trainjobs", "get", "create", "patch", "delete"),
        right("kueue.x-k8s.io", "localqueues", "get"),
        right("kueue.x-k8s.io", "workloads", "list"),
        # Why one fails is told by its pods.
        right("", "pods", "get", "list", "watch"),
        right("", "pods/log", "get"),
        right("", "events", "list"),
    ]


def _binding(metadata: Object) -> Object:
    subject = {"kind": "ServiceAccount", "name": metadata["name"], "namespace": metadata["namespace"]}
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": metadata["name"]},
        "subjects": [subject],
    }


def _deployment(image: str, policy: str, metadata: Object, arguments: list[str]) -> Object:
    """One pod, and never two: the trail would make them take turns, but one is all that it takes."""
    name = metadata["name"]
    template = pod(
        name,
        _container(name, image, arguments),
        restartPolicy="Always",
        serviceAccountName=name,
        automountServiceAccountToken=True,
    )
    template["spec"]["volumes"].append({"name": "policy", "configMap": {"name": name}})
    # Another policy is another pod.
    template["metadata"]["annotations"] = {"seatrial.dev/policy": policy}
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": _own(metadata)},
        "template": template,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def _container(name: str, image: str, arguments: list[str]) -> Object:
    own = image_of(image, OWN_IMAGE)
    main = container(own, "react.main", arguments, cpu="50m", memory="256Mi", memory_limit="1Gi")
    main["env"] += [
        {"name": "TRAINING_IMAGE", "value": image},
        _secret("REACT_TOKEN", TOKEN_SECRET.format(name=name), TOKEN_KEY),
        _secret("PAGE_URL", PAGE_SECRET.format(name=name), PAGE_KEY, optional=True),
    ]
    main["securityContext"]["readOnlyRootFilesystem"] = True
    main["volumeMounts"].append({"name": "policy", "mountPath": "/etc/react", "readOnly": True})
    main["ports"] = [{"name": "http", "containerPort": PORT}]
    # It waits for the database before it listens (start_seconds in config.py).
    main["startupProbe"] = _probe("/healthz", periodSeconds=1, failureThreshold=90)
    main["readinessProbe"] = _probe("/readyz", periodSeconds=5, timeoutSeconds=6)
    main["livenessProbe"] = _probe("/healthz", periodSeconds=20, timeoutSeconds=5)
    return main


def _secret(variable: str, secret: str, key: str, *, optional: bool = False) -> Object:
    reference = {"name": secret, "key": key, "optional": optional}
    return {"name": variable, "valueFrom": {"secretKeyRef": reference}}


def _probe(path: str, **timing: int) -> Object:
    return {"httpGet": {"path": path, "port": "http"}, **timing}


def _own(metadata: Object) -> dict[str, str]:
    return {"app.kubernetes.io/name": metadata["name"]}


def _service(metadata: Object) -> Object:
    """For Alertmanager; the Gateway does not publish it."""
    spec = {"selector": _own(metadata), "ports": [{"name": "http", "port": 80, "targetPort": "http"}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _route(metadata: Object) -> Object:
    """Alertmanager tells it of every alert, and again more often than the policy takes for over (`stale`)."""
    name = metadata["name"]
    token = {"name": TOKEN_SECRET.format(name=name), "key": TOKEN_KEY}
    webhook = {
        "url": f"http://{name}.{metadata['namespace']}.svc.cluster.local/alerts",
        "sendResolved": True,
        "maxAlerts": 0,
        "httpConfig": {"authorization": {"type": "Bearer", "credentials": token}},
    }
    spec = {
        "route": {
            "receiver": name,
            "groupBy": ["alertname", "model", "version"],
            "groupWait": "1s",
            "groupInterval": "10s",
            "repeatInterval": "1h",
            "matchers": [{"name": "alertname", "value": HEARTBEAT, "matchType": "!="}],
        },
        "receivers": [{"name": name, "webhookConfigs": [webhook]}],
    }
    return {
        "apiVersion": "monitoring.coreos.com/v1alpha1",
        "kind": "AlertmanagerConfig",
        "metadata": {**metadata, "labels": {**metadata["labels"], **RECEIVES}},
        "spec": spec,
    }
