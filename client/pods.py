"""The pods of a job: which there are and were, how each is, and what each says of its end."""

import json
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any

from kubernetes import client as k8s
from kubernetes import watch
from kubernetes.stream import stream

from client.objects import request
from client.platform import Platform

HOPELESS = {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
"""Reasons for which a container waits that do not go away by waiting."""
LOG_LINES = 12
LOG_LETTERS = 400
"""Of each: a program's line of numbers can be long."""
INDEX_LABEL = "batch.kubernetes.io/job-completion-index"
KILL = ("sh", "-c", "kill -9 -1")
"""Ends all of a container but its first process: nothing inside can kill that, and it ends by itself then."""
ATTEMPT_LABEL = "jobset.sigs.k8s.io/restart-attempt"


class Watched:
    """The pods that a selector picks, also those that are gone; a context manager that watches.

    Looking now and then is not enough: a failed pod whose job begins anew is replaced within a moment, and
    its account of the failure goes with it.
    """

    def __init__(self, platform: Platform, namespace: str, selector: str) -> None:
        self.platform, self.namespace, self.selector = platform, namespace, selector
        self.seen: dict[str, Any] = {}
        self.stop = threading.Event()

    def __enter__(self) -> "Watched":
        threading.Thread(target=self._follow, name="pods", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop.set()

    def _follow(self) -> None:
        while not self.stop.is_set():
            try:
                stream = watch.Watch().stream(
                    self.platform.core.list_namespaced_pod,
                    self.namespace,
                    label_selector=self.selector,
                    timeout_seconds=30,
                )
                for event in stream:
                    self._note(event["object"])
            except Exception:
                time.sleep(0.5)  # The list that `look` makes goes on; it says what is wrong.

    def _note(self, pod: Any) -> None:
        """A list may be older than what the watch has already told: an end is not forgotten."""
        known = self.seen.get(pod.metadata.uid)
        if known is None or not messages([known]):
            self.seen[pod.metadata.uid] = pod

    def look(self) -> list[Any]:
        """The pods of the last attempt that are there now."""
        there = self.platform.core.list_namespaced_pod(self.namespace, label_selector=self.selector).items
        for pod in there:
            self._note(pod)
        return sorted(
            (pod for pod in there if attempt(pod) == self.attempt), key=lambda pod: str(pod.metadata.name)
        )

    @property
    def attempt(self) -> int:
        """How often the pods were made anew."""
        return max(map(attempt, self.seen.values()), default=0)

    def of(self, number: int) -> list[Any]:
        """The pods of an attempt, also those that are gone."""
        pods = [pod for pod in list(self.seen.values()) if attempt(pod) == number]
        return sorted(pods, key=lambda pod: str(pod.metadata.name))


def attempt(pod: Any) -> int:
    return int((pod.metadata.labels or {}).get(ATTEMPT_LABEL, 0))


def key(pod: Any) -> str:
    """The pod's index in its job, or its name."""
    return str((pod.metadata.labels or {}).get(INDEX_LABEL, pod.metadata.name))


def describe(pod: Any) -> str:
    """The pod's state in a word or two."""
    for status in pod.status.container_statuses or []:
        if status.state.waiting and status.state.waiting.reason:
            return str(status.state.waiting.reason)
        if status.state.terminated:
            return f"{status.state.terminated.reason or 'ended'} ({status.state.terminated.exit_code})"
    where = f" on {pod.spec.node_name}" if pod.spec.node_name else ""
    return f"{pod.status.phase}{where}"


def states(pods: list[Any]) -> str:
    """What each of them does, in a line."""
    return ", ".join(f"{pod.metadata.name}: {describe(pod)}" for pod in pods)


def ready(pod: Any) -> bool:
    """Whether the pod takes requests."""
    return any(each.type == "Ready" and each.status == "True" for each in pod.status.conditions or [])


def hopeless(pods: list[Any]) -> str:
    """Why a pod will never start; empty while all may."""
    for pod in pods:
        for status in pod.status.container_statuses or []:
            waiting = status.state.waiting
            if waiting and waiting.reason in HOPELESS:
                return f"pod {pod.metadata.name} cannot start: {waiting.reason}: {waiting.message or ''}"
    return ""


def messages(pods: list[Any]) -> dict[str, dict[str, Any]]:
    """The parsed termination messages of pods that ended."""
    found = {}
    for pod in pods:
        for status in pod.status.container_statuses or []:
            ended = status.state.terminated
            if ended and ended.message:
                found[key(pod)] = parse(ended.message)
    return found


def parse(message: str) -> dict[str, Any]:
    try:
        value = json.loads(message)
    except ValueError:
        return {"text": message}
    return value if isinstance(value, dict) else {"text": message}


def account(pod: Any) -> str:
    """What the pod says of its failure; empty where it says nothing."""
    said = messages([pod]).get(key(pod), {})
    return str(said.get("error") or said.get("text", "")).strip()[:1500]


def accounts(platform: Platform, namespace: str, there: list[Any], gone: list[Any]) -> list[str]:
    """Lines with each pod's own account, its events and its last words."""
    lines = []
    for pod in gone:
        name, said = pod.metadata.name, account(pod)
        lines.append(f"  pod {name} on {pod.spec.node_name or 'no node'} is gone")
        lines += [f"    cause: {said}"] if said else []
        lines += [f"    event: {line}" for line in events(platform, namespace, name)[-2:]]
    for pod in there:
        name, said = pod.metadata.name, account(pod)
        lines.append(f"  pod {name} ({describe(pod)} on {pod.spec.node_name or 'no node'})")
        lines += [f"    cause: {said}"] if said else []
        lines += [f"    event: {line}" for line in warnings(platform, namespace, name)]
        lines += [] if said else [f"    log: {line}" for line in last_lines(platform, namespace, name)]
    return lines


def warnings(platform: Platform, namespace: str, name: str) -> list[str]:
    """The warnings among an object's events."""
    return events(platform, namespace, name, ",type=Warning")[-5:]


def events(platform: Platform, namespace: str, name: str, narrower: str = "") -> list[str]:
    """An object's events, each kind once, the latest last."""
    found = platform.core.list_namespaced_event(
        namespace, field_selector=f"involvedObject.name={name}{narrower}"
    )
    return list(dict.fromkeys(f"{event.reason}: {event.message}" for event in found.items))


def of_rank(platform: Platform, namespace: str, selector: str, rank: int) -> Any:
    """The one pod of this index, of the last attempt.

    Raises:
        LookupError: there is none, or one of an attempt before is still there too.
    """
    wanted = f"{selector},{INDEX_LABEL}={rank}"
    found = platform.core.list_namespaced_pod(namespace, label_selector=wanted).items
    if len(found) != 1:
        names = ", ".join(pod.metadata.name for pod in found) or "none"
        raise LookupError(f"there is not one pod of rank {rank}: {names}")
    return found[0]


def execute(platform: Platform, pod: Any, command: Sequence[str]) -> str:
    """Run a command in the pod's container to its end; what it printed."""
    # A client of its own: `stream` changes the one that it is given while it connects.
    core = k8s.CoreV1Api(k8s.ApiClient(platform.api.configuration))
    said = stream(
        core.connect_get_namespaced_pod_exec, pod.metadata.name, pod.metadata.namespace,
        command=list(command), stdout=True, stderr=True,
    )  # fmt: skip
    return str(said)


def log(platform: Platform, pod: Any, *, timestamps: bool = False) -> str:
    """All that the pod printed; with `timestamps` each line begins with the time at which it came."""
    place = f"/api/v1/namespaces/{pod.metadata.namespace}/pods/{pod.metadata.name}/log"
    return request(platform.api, "GET", place, accept="*/*", timestamps=str(timestamps).lower())


def last_lines(platform: Platform, namespace: str, pod: str) -> list[str]:
    try:
        text = platform.core.read_namespaced_pod_log(pod, namespace, tail_lines=LOG_LINES)
    except k8s.ApiException:
        return []  # It never started.
    return [line[:LOG_LETTERS] for line in str(text).splitlines()]
