"""Who says how many pods a Deployment has: one at a time, and the number outlasts the change."""

import json
from typing import Any

import pytest
from kubernetes import client as k8s

from client import jobs, objects, scaling
from client.objects import Kind

DEPLOYMENT = "/apis/apps/v1/namespaces/workloads/deployments/it"
AUTOSCALER = "/apis/autoscaling/v2/namespaces/workloads/horizontalpodautoscalers/it"


class Api:
    """An API server that answers these requests, and none other; tells what was asked of it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.sent: list[dict[str, Any]] = []
        self.queries: list[dict[str, str]] = []
        self.api = object()
        monkeypatch.setattr(scaling, "request", self.request)

    def request(self, _: Any, method: str, path: str, *, body: Any = None, **query: str) -> str:
        self.asked.append(f"{method} {path}")
        self.queries.append(query)
        if body is not None:
            self.sent.append(body)
        answer = self.answers.get(f"{method} {path}", 404)
        if isinstance(answer, int):
            raise k8s.ApiException(status=answer)
        return json.dumps(answer)


def deployment(**spec: Any) -> dict[str, Any]:
    return {"kind": "Deployment", "metadata": {"name": "it"}, "spec": spec}


def test_a_number_that_is_said_no_longer_stays_until_an_autoscaler_says_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Server-side apply would take it away with its last owner."""
    there = Api(monkeypatch, {f"GET {DEPLOYMENT}": {"spec": {"replicas": 4}}, f"PATCH {DEPLOYMENT}": {}})
    platform: Any = there
    scaling.settle(platform, deployment())
    assert there.asked == [f"GET {DEPLOYMENT}", f"PATCH {DEPLOYMENT}"]
    [kept] = there.sent
    assert kept["spec"] == {"replicas": 4}
    keeper = there.queries[-1]
    assert keeper["fieldManager"] != jobs.FIELD_MANAGER
    assert "force" not in keeper


@pytest.mark.parametrize(
    "answers", [{}, {f"GET {DEPLOYMENT}": {"spec": {"replicas": 4}}, f"PATCH {DEPLOYMENT}": 409}]
)
def test_what_is_not_there_or_has_another_owner_keeps_it(
    monkeypatch: pytest.MonkeyPatch, answers: dict[str, Any]
) -> None:
    platform: Any = Api(monkeypatch, answers)
    scaling.settle(platform, deployment())


def test_where_a_number_is_said_no_autoscaler_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Api(monkeypatch, {f"DELETE {AUTOSCALER}": {}})
    platform: Any = there
    scaling.settle(platform, deployment(replicas=2))
    assert there.asked == [f"DELETE {AUTOSCALER}"]
    there.answers = {}
    scaling.settle(platform, deployment(replicas=2))


@pytest.mark.parametrize("spec", [{}, {"replicas": 2}])
def test_a_refusal_is_not_taken_for_nothing(monkeypatch: pytest.MonkeyPatch, spec: dict[str, Any]) -> None:
    platform: Any = Api(monkeypatch, {f"GET {DEPLOYMENT}": 403, f"DELETE {AUTOSCALER}": 403})
    with pytest.raises(k8s.ApiException):
        scaling.settle(platform, deployment(**spec))


def test_a_deployment_is_settled_before_it_is_applied(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    monkeypatch.setattr(jobs, "kinds", lambda _: [])
    monkeypatch.setattr(jobs.scaling, "settle", lambda _, item: done.append(f"settle {item['kind']}"))
    monkeypatch.setattr(jobs, "apply", lambda *given: done.append(f"apply {given[-1]['kind']}"))
    platform: Any = Api(monkeypatch, {})
    jobs.deploy(platform, "it", [{"kind": "Service"}, deployment()], wait=False)
    assert done == ["apply Service", "settle Deployment", "apply Deployment"]


def test_the_figures_of_pods_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    path = "/apis/custom.metrics.k8s.io/v1beta1/namespaces/workloads/pods/*/per_second"
    values = {"a": "0", "b": "1500m", "c": "2", "d": "1k"}
    items = [{"describedObject": {"name": name}, "value": value} for name, value in values.items()]
    there = Api(monkeypatch, {f"GET {path}": {"items": items}})
    platform: Any = there
    found = scaling.figures(platform, "per_second", "app=x")
    assert found == {"a": 0.0, "b": 1.5, "c": 2.0, "d": 1000.0}
    assert there.queries == [{"labelSelector": "app=x"}]


def test_a_pod_gets_some_requests() -> None:
    with pytest.raises(ValueError, match=r"at least 0.001 \(got 0\)"):
        scaling.Scaling(3, 0)


def test_figures_without_objects_are_a_kind_that_nobody_can_list() -> None:
    """The API server tells of them as of a resource without verbs."""
    told = {
        "version": "v1beta1",
        "resources": [
            {"resource": "pods", "scope": "Namespaced", "verbs": None, "responseKind": {"kind": ""}},
            {"resource": "namespaces", "scope": "Cluster", "responseKind": {"kind": ""}},
        ],
    }
    found = list(objects._kinds("custom.metrics.k8s.io", told))
    api = "custom.metrics.k8s.io/v1beta1"
    assert found == [
        Kind(api, "", "pods", True, frozenset()),
        Kind(api, "", "namespaces", False, frozenset()),
    ]
