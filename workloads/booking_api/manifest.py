"""The objects of the service: its pods beside the model's, the way to them, and the loading of its facts."""

import json
from typing import Any

from workloads import image_of
from workloads.pods import ACCESS_SECRET, container, environment, labels, pod

NAME = "booking-api"
FACTS_NAME = "booking-facts"
IMAGE_NAME = "booking-api"
PARTS = ("serving",)
PORT = 8080
DOMAIN = "platform.test"
"""What the hosts of routes end with; a stack may have another."""
GATEWAY = {"name": "platform", "namespace": "platform-serving", "sectionName": "https"}
MODEL = "delay"
"""The model's name in its protocol, its route and its pods' label."""
COLOCATE_LABEL = "seatrial.dev/colocate"
"""Label of the pods of model servers; its value names the model."""
VERSION_LABEL = "app.kubernetes.io/version"
LEAVING = 6
"""Seconds for which a pod that ends still answers, while the Gateway takes it off its list."""
ANSWERING = 20
"""Seconds in which what is under way then is answered (LAST_ANSWERS in main.py)."""
ACCESS = ("BOOKINGS_DATABASE", "GATEWAY_CA", "GATEWAY_API_KEY")

Object = dict[str, Any]


def objects(
    image: str,
    *,
    config: str = "reference",
    replicas: int | None = 2,
    experiment: str | dict[str, Any] | None = None,
    domain: str = DOMAIN,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[Object]:
    """What runs the service.

    `replicas` None leaves their number to whoever scales them. `experiment` is one as experiment.py reads it,
    as JSON or parsed; `domain` is that of the platform's hosts.
    """
    divided = experiment if isinstance(experiment, str) else json.dumps(experiment) if experiment else ""
    own = image_of(image, IMAGE_NAME)
    names = {"namespace": namespace, "labels": labels(NAME)}
    template = _pod(own, divided, domain, ["--config", config, *(arguments or [])])
    return [
        _facts(image_of(image, "workloads"), namespace),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME, **names},
         "data": {"EXPERIMENT": divided}},
        _deployment(template, replicas, names),
        _service(names),
        _budget(names),
        _route(domain, names),
        _monitor(names),
    ]  # fmt: skip


def _facts(image: str, namespace: str) -> Object:
    """The Job that loads what is looked up about flights; it changes nothing when that is there."""
    main = container(
        image, "workloads.booking_api.facts", [], cpu="100m", memory="192Mi", memory_limit="512Mi"
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": FACTS_NAME, "namespace": namespace, "labels": labels(FACTS_NAME)},
        "spec": {"backoffLimit": 3, "activeDeadlineSeconds": 600, "template": pod(FACTS_NAME, main)},
    }


def _deployment(template: Object, replicas: int | None, names: Object) -> Object:
    """A new pod is ready before an old one ends, so that a rollout drops nothing."""
    spec = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "minReadySeconds": 2,
        "progressDeadlineSeconds": 300,
        "template": template,
    }
    scaled = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME, **names},
        "spec": {**scaled, **spec},
    }  # fmt: skip


def _pod(image: str, experiment: str, domain: str, arguments: list[str]) -> Object:
    """The pod template. It names the experiment too, so that another one is rolled out like another image."""
    template = pod(
        NAME,
        _container(image, domain, arguments),
        restartPolicy="Always",
        terminationGracePeriodSeconds=LEAVING + ANSWERING + 4,
        affinity=_beside_the_model(),
    )
    template["metadata"]["labels"][VERSION_LABEL] = version_of(image)
    template["metadata"]["annotations"] = {"seatrial.dev/experiment": experiment or "none"}
    return template


def _beside_the_model() -> Object:
    """On a node that a server of the model is on. The model goes where it likes, and the service follows:
    were each to wait for the other, neither would come up again after a drain.
    """
    term = {
        "labelSelector": {"matchLabels": {COLOCATE_LABEL: MODEL}},
        "topologyKey": "kubernetes.io/hostname",
    }
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def _container(image: str, domain: str, arguments: list[str]) -> Object:
    main = container(
        image, "workloads.booking_api.main", arguments, cpu="100m", memory="128Mi", memory_limit="512Mi"
    )
    del main["envFrom"]  # Of the platform's access it gets what it needs, and no other password.
    main["env"] = [
        *environment(image),
        {"name": "MODEL", "value": MODEL},
        {"name": "MODEL_HOST", "value": f"{MODEL}.{domain}"},
        _entry("MODEL_URL", "GATEWAY_URL"),
        *(_entry(name, name) for name in ACCESS),
        {"name": "EXPERIMENT", "valueFrom": {"configMapKeyRef": {"name": NAME, "key": "EXPERIMENT"}}},
    ]
    main["securityContext"]["readOnlyRootFilesystem"] = True
    main["ports"] = [{"name": "http", "containerPort": PORT}]
    # It waits for the database before it listens (start_seconds in config.py).
    main["startupProbe"] = _probe("/healthz", periodSeconds=1, failureThreshold=90)
    main["readinessProbe"] = _probe("/readyz", periodSeconds=2, timeoutSeconds=4)
    main["livenessProbe"] = _probe("/healthz", periodSeconds=10, timeoutSeconds=5)
    main["lifecycle"] = {"preStop": {"sleep": {"seconds": LEAVING}}}
    return main


def _entry(variable: str, key: str) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": ACCESS_SECRET, "key": key}}}


def _probe(path: str, **timing: int) -> Object:
    return {"httpGet": {"path": path, "port": "http"}, **timing}


def version_of(image: str) -> str:
    """The service's version, as a label may say it: the image's tag, or the beginning of its digest."""
    name, _, digest = image.partition("@sha256:")
    return digest[:16] if digest else name.rpartition(":")[2]


def _service(names: Object) -> Object:
    spec = {
        "selector": {"app.kubernetes.io/name": NAME},
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "appProtocol": "http"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME, **names}, "spec": spec}


def _budget(names: Object) -> Object:
    """A drain takes one pod at a time, and the next when the first runs elsewhere."""
    spec = {"maxUnavailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}}}
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": NAME, **names},
        "spec": spec,
    }  # fmt: skip


def _route(domain: str, names: Object) -> Object:
    """What the Gateway sends here: the API, and neither health nor metrics."""
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}],
        "backendRefs": [{"name": NAME, "port": 80}],
        "timeouts": {"request": "10s"},
    }
    spec = {
        "parentRefs": [GATEWAY],
        "hostnames": [f"booking.{domain}"],
        "rules": [rule],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": NAME, **names}, "spec": spec,
    }  # fmt: skip


def _monitor(names: Object) -> Object:
    """Prometheus reads each pod's metrics; it looks for objects with this label."""
    spec = {
        "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        "podMetricsEndpoints": [{"port": "http", "interval": "5s"}],
    }
    marked = {**names["labels"], "app.kubernetes.io/part-of": "seatrial"}
    return {
        "apiVersion": "monitoring.coreos.com/v1", "kind": "PodMonitor",
        "metadata": {**names, "name": NAME, "labels": marked}, "spec": spec,
    }  # fmt: skip
