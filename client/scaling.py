"""How many pods a Deployment has: a number that is said, or what an autoscaler makes of its requests.

It has one owner at a time. An autoscaler is a HorizontalPodAutoscaler of the same name as what it scales, and
asks for the requests a second of each pod (docs/how-to/scale-a-service.md).
"""

import json
from dataclasses import dataclass
from typing import Any

from kubernetes import client as k8s

from client.objects import request
from client.platform import Platform
from infra import outputs

API = "autoscaling/v2"
_NUMBER_KEEPER = "seatrial-number"
"""Field manager of a number that we had said, until an autoscaler says another."""
BEHAVIOR = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "policies": [{"type": "Pods", "value": 1, "periodSeconds": 30}],
    },
}
"""At once to twice as many, and after five minutes of less one by one back: a start costs more than a pod."""


@dataclass(frozen=True)
class Scaling:
    """Between how many pods, the least being said elsewhere, and by what.

    Raises:
        ValueError: it is not positive.
    """

    most: int
    requests_per_second: float
    """That each pod is to get: when they get more, there will be more of them."""

    def __post_init__(self) -> None:
        if self.requests_per_second < 0.001:
            raise ValueError(f"requests per second must be at least 0.001 (got {self.requests_per_second:g})")


def autoscaler(
    name: str, deployment: str, least: int, scaling: Scaling, metric: str, owner: dict[str, Any]
) -> dict[str, Any]:
    """The manifest; it goes with its owner, an object of the same namespace."""
    known = {key: owner[key] for key in ("apiVersion", "kind")}
    known |= {key: owner["metadata"][key] for key in ("name", "uid")}
    target = {"type": "AverageValue", "averageValue": f"{round(scaling.requests_per_second * 1000)}m"}
    return {
        "apiVersion": API,
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": outputs.NAMESPACE_WORKLOADS, "ownerReferences": [known]},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
            "minReplicas": least,
            "maxReplicas": scaling.most,
            "metrics": [{"type": "Pods", "pods": {"metric": {"name": metric}, "target": target}}],
            "behavior": BEHAVIOR,
        },
    }


def settle(platform: Platform, item: dict[str, Any]) -> None:
    """Before a Deployment is applied: its number gets the owner that it will have.

    Where the manifest says how many, an autoscaler of its name goes. Where it does not, the number that is
    there stays: server-side apply takes back what its manager no longer says, and one pod would be left.
    """
    metadata = item["metadata"]
    namespace = metadata.get("namespace", outputs.NAMESPACE_WORKLOADS)
    if "replicas" in item["spec"]:
        forget(platform, metadata["name"], namespace)
        return
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{metadata['name']}"
    try:
        number = json.loads(request(platform.api, "GET", path))["spec"]["replicas"]
        kept = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": metadata["name"], "namespace": namespace},
            "spec": {"replicas": number},
        }
        request(platform.api, "PATCH", path, body=kept, fieldManager=_NUMBER_KEEPER)
    except k8s.ApiException as error:
        # It is not there yet, or an autoscaler has said another number meanwhile.
        if error.status not in (404, 409):
            raise


def forget(platform: Platform, name: str, namespace: str = outputs.NAMESPACE_WORKLOADS) -> None:
    """Take an autoscaler away; what it scaled keeps its number until somebody says another."""
    path = f"/apis/{API}/namespaces/{namespace}/horizontalpodautoscalers/{name}"
    try:
        request(platform.api, "DELETE", path)
    except k8s.ApiException as error:
        if error.status != 404:
            raise


def figures(platform: Platform, metric: str, selector: str) -> dict[str, float]:
    """What an autoscaler sees: the metric of each pod of NAMESPACE_WORKLOADS that the selector picks.

    Raises:
        ApiException: nobody answers (503), or no pod is known to have the metric (404).
    """
    group = "/apis/custom.metrics.k8s.io/v1beta1"
    path = f"{group}/namespaces/{outputs.NAMESPACE_WORKLOADS}/pods/*/{metric}"
    items = json.loads(request(platform.api, "GET", path, labelSelector=selector))["items"]
    return {each["describedObject"]["name"]: _number(each["value"]) for each in items}


def _number(quantity: str) -> float:
    """A quantity as the API server writes it: `2`, `1500m`, `3k`."""
    units = {"m": 1e-3, "k": 1e3, "M": 1e6}
    unit = units.get(quantity[-1:])
    return float(quantity[:-1]) * unit if unit else float(quantity)
