"""Follows a Deployment until its pods are those of its newest template, and ready."""

import time
from typing import Any

from kubernetes import client as k8s

from client import pods
from client.errors import ClientError
from client.platform import Platform
from client.progress import Progress, Silent
from infra import outputs


def follow(
    platform: Platform,
    namespace: str,
    name: str,
    deadline: float = 300,
    progress: Progress | None = None,
) -> None:
    """Wait until all pods of the newest template are available and no older one is left.

    Raises:
        ClientError: one cannot start, or it took longer than `deadline` seconds; the error has what each pod
            that is not ready says of itself.
    """
    progress = progress or Silent()
    apps = k8s.AppsV1Api(platform.api)
    until, told = time.monotonic() + deadline, ""
    progress.begin(f"rollout {name}")
    while True:
        item = apps.read_namespaced_deployment(name, namespace)
        if done(item):
            progress.end(f"rollout {name}", f"{item.status.ready_replicas or 0} pods")
            return
        there = of(platform, namespace, item)
        state = pods.states(there)
        if state and state != told:
            progress.say(f"    {state}")
            told = state
        late = f"it was not done after {deadline:.0f} s" if time.monotonic() > until else ""
        cause = pods.hopeless(there) or gave_up(there) or late
        if cause:
            raise failed(platform, namespace, name, cause, there)
        time.sleep(0.5)


def done(item: Any) -> bool:
    """Whether a Deployment has all its pods, all of the newest template and available."""
    status, wanted = item.status, item.spec.replicas
    return bool(
        (status.observed_generation or 0) >= item.metadata.generation
        and (status.updated_replicas or 0) == wanted
        and (status.available_replicas or 0) == wanted
        and (status.replicas or 0) == wanted
    )


def gave_up(there: list[Any]) -> str:
    """What a pod says that ended and would end in the same way again; empty while none does."""
    for pod in there:
        for status in pod.status.container_statuses or []:
            last = status.last_state.terminated if status.last_state else None
            ended = status.state.terminated or last
            if ended and ended.exit_code == outputs.EXIT_HOPELESS:
                said = pods.parse(ended.message or "").get("error", "")
                return f"pod {pod.metadata.name} gave up: {said}"
    return ""


def of(platform: Platform, namespace: str, item: Any) -> list[Any]:
    """The pods that a Deployment's selector picks, by name."""
    wanted = ",".join(f"{key}={value}" for key, value in item.spec.selector.match_labels.items())
    there = platform.core.list_namespaced_pod(namespace, label_selector=wanted).items
    return sorted(there, key=lambda pod: str(pod.metadata.name))


def failed(platform: Platform, namespace: str, name: str, cause: str, there: list[Any]) -> ClientError:
    """An error that carries the account of each pod that is not ready."""
    unready = [pod for pod in there if not pods.ready(pod)]
    lines = [f"rollout {name} failed: {cause}", *pods.accounts(platform, namespace, unready, [])]
    return ClientError("\n".join(lines), f"see more: kubectl -n {namespace} describe deployment {name}")
