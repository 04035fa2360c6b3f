"""How the client follows the rollout of a Deployment."""

from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import pytest

from client import deployments
from client.errors import ClientError


def deployment(**status: Any) -> Any:
    told = {"observed_generation": 2, "updated_replicas": 2, "available_replicas": 2, "replicas": 2} | status
    return Some(
        metadata=Some(generation=2),
        spec=Some(replicas=2, selector=Some(match_labels={"app": "x"})),
        status=Some(ready_replicas=2, **told),
    )


@pytest.mark.parametrize(
    ("status", "done"),
    [
        ({}, True),
        ({"observed_generation": 1}, False),
        ({"observed_generation": None}, False),
        ({"updated_replicas": 1}, False),
        ({"available_replicas": None}, False),
        ({"replicas": 3}, False),
    ],
)
def test_it_is_done_when_all_pods_are_new_and_available_and_no_old_one_is_left(
    status: dict[str, Any], done: bool
) -> None:
    assert deployments.done(deployment(**status)) == done


def pod(*, waiting: Any = None, ended: Any = None, last: Any = None, ready: str = "False") -> Any:
    state = Some(waiting=waiting, terminated=ended)
    return Some(
        metadata=Some(name="x-1", labels={}),
        spec=Some(node_name="work"),
        status=Some(
            phase="Running",
            conditions=[Some(type="Ready", status=ready)],
            container_statuses=[Some(state=state, last_state=Some(terminated=last))],
        ),
    )


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Any:
    apps = MagicMock()
    monkeypatch.setattr(deployments.k8s, "AppsV1Api", lambda _: apps)
    monkeypatch.setattr(deployments.time, "sleep", lambda _: None)
    found = MagicMock(apps=apps)
    found.core.list_namespaced_event.return_value.items = []
    found.core.read_namespaced_pod_log.return_value = ""
    return found


def test_it_is_followed_to_its_end(platform: Any) -> None:
    platform.apps.read_namespaced_deployment.side_effect = [deployment(replicas=3), deployment()]
    platform.core.list_namespaced_pod.return_value.items = [pod()]
    deployments.follow(platform, "workloads", "x")
    assert platform.apps.read_namespaced_deployment.call_count == 2
    assert platform.core.list_namespaced_pod.call_args.kwargs == {"label_selector": "app=x"}


GAVE_UP = Some(exit_code=3, message='{"error": "EXPERIMENT is not an experiment"}', reason="Error")


@pytest.mark.parametrize(
    ("there", "cause"),
    [
        (
            pod(waiting=Some(reason="ImagePullBackOff", message="no such tag")),
            "ImagePullBackOff: no such tag",
        ),
        (pod(ended=GAVE_UP), "pod x-1 gave up: EXPERIMENT is not an experiment"),
        (
            pod(waiting=Some(reason="CrashLoopBackOff", message="back-off"), last=GAVE_UP),
            "pod x-1 gave up: EXPERIMENT is not an experiment",
        ),
    ],
)
def test_a_pod_that_will_never_be_ready_ends_the_wait_at_once(platform: Any, there: Any, cause: str) -> None:
    platform.apps.read_namespaced_deployment.return_value = deployment(available_replicas=0)
    platform.core.list_namespaced_pod.return_value.items = [there]
    with pytest.raises(ClientError, match=cause) as failed:
        deployments.follow(platform, "workloads", "x")
    assert "kubectl -n workloads describe deployment x" in str(failed.value)


def test_what_may_still_come_is_waited_for_until_the_deadline(platform: Any) -> None:
    crashed = Some(exit_code=1, message="", reason="Error")
    waiting = pod(waiting=Some(reason="CrashLoopBackOff", message=""), last=crashed)
    platform.apps.read_namespaced_deployment.return_value = deployment(available_replicas=0)
    platform.core.list_namespaced_pod.return_value.items = [waiting, pod(ready="True")]
    with pytest.raises(ClientError, match="rollout x failed: it was not done after 0 s") as failed:
        deployments.follow(platform, "workloads", "x", deadline=0)
    assert str(failed.value).count("pod x-1") == 1, "only those that are not ready are told of"
