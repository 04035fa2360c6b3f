"""A part whose kinds are used is not taken away: nobody would clean up after it."""

from types import SimpleNamespace as Some
from typing import Any

import pytest

from client import ClientError, uses
from client.objects import Kind

VERBS = frozenset({"list"})
SERVED = [
    Kind("serving.kserve.io/v1beta1", "InferenceService", "inferenceservices", True, VERBS),
    Kind("other.example/v1", "InferenceService", "inferenceservices", True, VERBS),
    Kind("trainer.kubeflow.org/v1alpha1", "TrainJob", "trainjobs", True, VERBS),
]


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Any:
    """One version of a model is served, and another group has a kind of the same name."""
    there = {kind: ["probe-v1"] if "InferenceService" in kind.kind else [] for kind in SERVED}
    monkeypatch.setattr(uses, "kinds", lambda _: SERVED)
    monkeypatch.setattr(
        uses,
        "listing",
        lambda _, kind, selector: [
            {"metadata": {"namespace": "workloads", "name": name}} for name in there[kind]
        ],
    )
    return Some(api=None)


def test_a_part_that_is_used_is_named_with_what_uses_it(platform: Any) -> None:
    with pytest.raises(ClientError) as refused:
        uses.require_unused(platform, ["training", "serving"])
    assert refused.value.what == (
        "part 'serving' cannot be taken away while it is used: inferenceservice -n workloads probe-v1"
    )
    assert "kubectl delete inferenceservice -n workloads probe-v1" in refused.value.todo
    assert "--with serving" in refused.value.todo


def test_parts_that_nobody_uses_may_go(platform: Any) -> None:
    uses.require_unused(platform, ["training", "tuning", "queueing"])
