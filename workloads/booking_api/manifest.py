"""The objects of the service: its pods beside the model's, the way to them, and the loading of its facts."""

import json
from typing import Any

from workloads import image_of, watched
from workloads.booking_api.config import CREDENTIAL_HEADER
from workloads.pods import ACCESS_SECRET, container, environment, labels, on_a_node, pod

NAME = "booking-api"
OWN_IMAGE = "booking-api"
PARTS = ("serving",)
PORT = 8080
DOMAIN = "platform.test"
"""What the hosts of routes end with; a stack may have another."""
GATEWAY = {"name": "platform", "namespace": "platform-serving", "sectionName": "https"}
MODEL = "delay"
"""The model's name in its protocol, its route and its pods' label."""
COLOCATE_LABEL = "seatrial.dev/colocate"
"""Label of the pods of model servers; its value names the model."""
REPEATABLE_LABEL = "seatrial.dev/repeatable"
"""Label of a route whose requests the Gateway may send again."""
VERSION_LABEL = "app.kubernetes.io/version"
LEAVING = 6
"""Seconds for which a pod that ends still answers, while the Gateway takes it off its list."""
ANSWERING = 20
"""Seconds in which what is under way then is answered (LAST_ANSWERS in main.py)."""
METRIC = "booking_requests_per_second"
"""What the platform calls the requests a second of a pod."""
ACCESS = ("BOOKINGS_DATABASE", "GATEWAY_CA", "GATEWAY_API_KEY")
CREDENTIAL_SECRET = "gateway-credential"
"""Secret with what the Gateway shows to the service, under `credential`."""
FILTERS = "gateway.envoyproxy.io"

Object = dict[str, Any]


def objects(
    image: str,
    *,
    name: str = NAME,
    model: str = MODEL,
    config: str = "reference",
    replicas: int = 2,
    max_replicas: int | None = None,
    requests_per_second: float | None = None,
    experiment: str | dict[str, Any] | None = None,
    domain: str = DOMAIN,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[Object]:
    """What runs the service.

    `model` is what the model is called by its protocol, its route and its pods. With `max_replicas` there are
    `replicas` of them or up to so many, as it takes for each to get no more than `requests_per_second`.
    `experiment` is one as experiment.py reads it, as JSON or parsed. `domain` is that of the platform's
    hosts.

    Raises:
        ValueError: it is not said how they are to be scaled.
    """
    scaled = max_replicas is not None
    if scaled != (requests_per_second is not None):
        raise ValueError("the most pods and the requests per second of each are said both or neither")
    divided = experiment if isinstance(experiment, str) else json.dumps(experiment) if experiment else ""
    main = _container(
        image_of(image, OWN_IMAGE), name, model, domain, ["--config", config, *(arguments or [])]
    )
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    host = f"{name.removesuffix('-api')}.{domain}"
    return [
        _facts(image_of(image, "workloads"), f"{name}-facts", namespace),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"EXPERIMENT": divided}},
        _deployment(_pod(name, model, main, divided), None if scaled else replicas, metadata),
        _service(metadata),
        _budget(metadata),
        _vouching(metadata),
        _route(host, metadata),
        watched.monitor(metadata, port="http", interval="5s"),
        *_autoscaler(metadata, replicas, max_replicas, requests_per_second),
    ]


def _facts(image: str, name: str, namespace: str) -> Object:
    """The Job that loads what is looked up about flights; it changes nothing when that is there."""
    main = container(
        image, "workloads.booking_api.facts", [], cpu="100m", memory="192Mi", memory_limit="512Mi"
    )
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {"backoffLimit": 3, "activeDeadlineSeconds": 600, "template": pod(name, main)},
    }


def _deployment(template: Object, replicas: int | None, metadata: Object) -> Object:
    """A new pod is ready before an old one ends, so that a rollout drops nothing. Without `replicas` their
    number is whoever's who scales them, and a rollout leaves it as it is.
    """
    spec = {
        "selector": {"matchLabels": _own(metadata)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "minReadySeconds": 2,
        "progressDeadlineSeconds": 300,
        "template": template,
    }
    scaled = {} if replicas is None else {"replicas": replicas}
    return {
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": {**scaled, **spec},
    }  # fmt: skip


def _own(metadata: Object) -> dict[str, str]:
    """By which the service's pods are known."""
    return {"app.kubernetes.io/name": metadata["name"]}


def _pod(name: str, model: str, main: Object, experiment: str) -> Object:
    """The pod template. It names the experiment too, so that another one is rolled out like another image."""
    template = pod(
        name,
        main,
        restartPolicy="Always",
        terminationGracePeriodSeconds=LEAVING + ANSWERING + 4,
        affinity=_beside(model),
    )
    template["metadata"]["labels"][VERSION_LABEL] = version_of(main["image"])
    template["metadata"]["annotations"] = {"seatrial.dev/experiment": experiment or "none"}
    return template


def _beside(model: str) -> Object:
    """On a node that a server of the model is on. The model goes where it likes, and the service follows:
    were each to wait for the other, neither would come up again after a drain.
    """
    return {"podAffinity": on_a_node({COLOCATE_LABEL: model})}


def _container(image: str, name: str, model: str, domain: str, arguments: list[str]) -> Object:
    main = container(
        image, "workloads.booking_api.main", arguments, cpu="100m", memory="128Mi", memory_limit="512Mi"
    )
    del main["envFrom"]  # Of the platform's access it gets what it needs, and no other password.
    main["env"] = [
        *environment(image),
        {"name": "MODEL", "value": model},
        {"name": "MODEL_HOST", "value": f"{model}.{domain}"},
        _entry("MODEL_URL", "GATEWAY_URL"),
        *(_entry(name, name) for name in ACCESS),
        _entry("GATEWAY_CREDENTIAL", "credential", CREDENTIAL_SECRET),
        {"name": "EXPERIMENT", "valueFrom": {"configMapKeyRef": {"name": name, "key": "EXPERIMENT"}}},
    ]
    main["securityContext"]["readOnlyRootFilesystem"] = True
    main["ports"] = [{"name": "http", "containerPort": PORT}]
    # It waits for the database before it listens (start_seconds in config.py).
    main["startupProbe"] = _probe("/healthz", periodSeconds=1, failureThreshold=90)
    main["readinessProbe"] = _probe("/readyz", periodSeconds=2, timeoutSeconds=4)
    main["livenessProbe"] = _probe("/healthz", periodSeconds=10, timeoutSeconds=5)
    main["lifecycle"] = {"preStop": {"sleep": {"seconds": LEAVING}}}
    return main


def _entry(variable: str, key: str, secret: str = ACCESS_SECRET) -> Object:
    return {"name": variable, "valueFrom": {"secretKeyRef": {"name": secret, "key": key}}}


def _probe(path: str, **timing: int) -> Object:
    return {"httpGet": {"path": path, "port": "http"}, **timing}


def version_of(image: str) -> str:
    """The service's version, as a label may say it: the image's tag, or the beginning of its digest."""
    name, _, digest = image.partition("@sha256:")
    return digest[:16] if digest else name.rpartition(":")[2]


def _service(metadata: Object) -> Object:
    spec = {
        "selector": _own(metadata),
        "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
    }
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec}


def _budget(metadata: Object) -> Object:
    """A drain takes one pod at a time, and the next when the first runs elsewhere; what does not run anyway
    never holds it up.
    """
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": _own(metadata)},
    }
    return {
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": metadata, "spec": spec,
    }  # fmt: skip


def _vouching(metadata: Object) -> Object:
    """By which the service knows what came through the Gateway, and whose word the tenant is; what a client
    writes there is overwritten.
    """
    shown = {"valueRef": {"name": CREDENTIAL_SECRET}}
    injection = {"header": CREDENTIAL_HEADER, "overwrite": True, "credential": shown}
    return {
        "apiVersion": f"{FILTERS}/v1alpha1", "kind": "HTTPRouteFilter", "metadata": metadata,
        "spec": {"credentialInjection": injection},
    }  # fmt: skip


def _route(host: str, metadata: Object) -> Object:
    """What the Gateway sends here: the API, and neither health nor metrics. It may send a request again: one
    that is known by its id gets the answer that was logged.
    """
    repeatable = {**metadata, "labels": {**metadata["labels"], REPEATABLE_LABEL: "true"}}
    vouched = {"group": FILTERS, "kind": "HTTPRouteFilter", "name": metadata["name"]}
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/v1"}}],
        "filters": [{"type": "ExtensionRef", "extensionRef": vouched}],
        "backendRefs": [{"name": metadata["name"], "port": 80}],
        "timeouts": {"request": "10s"},
    }
    spec = {
        "parentRefs": [GATEWAY],
        "hostnames": [host],
        "rules": [rule],
    }
    return {
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": repeatable,
        "spec": spec,
    }  # fmt: skip


def _autoscaler(metadata: Object, least: int, most: int | None, each: float | None) -> list[Object]:
    """At once to twice as many pods, and after five minutes of less one by one back."""
    if most is None or each is None:
        return []
    if not 1 <= least <= most:
        raise ValueError(f"the most pods are at least as many as the least, {least} (got {most})")
    if each < 0.001:
        raise ValueError(f"requests per second must be at least 0.001 (got {each:g})")
    target = {"type": "AverageValue", "averageValue": f"{round(each * 1000)}m"}
    more = {"type": "Percent", "value": 100, "periodSeconds": 15}
    fewer = {"type": "Pods", "value": 1, "periodSeconds": 30}
    spec = {
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": metadata["name"]},
        "minReplicas": least,
        "maxReplicas": most,
        "metrics": [{"type": "Pods", "pods": {"metric": {"name": METRIC}, "target": target}}],
        "behavior": {
            "scaleUp": {"stabilizationWindowSeconds": 0, "policies": [more]},
            "scaleDown": {"stabilizationWindowSeconds": 300, "policies": [fewer]},
        },
    }
    return [
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": metadata,
            "spec": spec,
        }
    ]
