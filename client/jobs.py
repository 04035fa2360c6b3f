"""Puts a workload on the platform, waits for it, and says why when it fails."""

import copy
import json
import time
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client as k8s

from client.errors import ClientError
from client.objects import Kind, find_kind, kinds, listing, request
from client.platform import Platform
from client.progress import Progress, Silent
from infra import outputs

FIELD_MANAGER = "seatrial"
WORKLOAD_LABEL = "seatrial.dev/workload"
HOPELESS = {"ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError"}
"""Reasons for which a container waits that do not go away by waiting."""
LOG_LINES = 12


@dataclass
class JobResult:
    """What a finished Job left: the termination message of each pod, by the pod's index or name."""

    name: str
    seconds: float
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)


def deploy(
    platform: Platform,
    workload: str,
    objects: list[dict[str, Any]],
    *,
    wait: bool = True,
    deadline: float = 900,
    progress: Progress | None = None,
) -> dict[str, JobResult]:
    """Apply the workload's objects; with `wait`, return the result of each Job by its name."""
    progress = progress or Silent()
    served = kinds(platform.api)
    jobs = [item for item in objects if item["kind"] == "Job"]
    for job in jobs:
        remove_job(platform, job["metadata"]["name"], namespace_of(job))
    for item in objects:
        apply(platform, served, workload, item)
    if not wait:
        return {}
    return {
        job["metadata"]["name"]: wait_for_job(
            platform, job["metadata"]["name"], namespace_of(job), deadline, progress
        )
        for job in jobs
    }


def namespace_of(item: dict[str, Any]) -> str:
    return str(item["metadata"].get("namespace", outputs.NAMESPACE_WORKLOADS))


def apply(platform: Platform, served: list[Kind], workload: str, item: dict[str, Any]) -> None:
    """Server-side apply as the manager of workloads, with the label by which it is found again."""
    body = copy.deepcopy(item)
    metadata = body["metadata"]
    metadata.setdefault("namespace", outputs.NAMESPACE_WORKLOADS)
    metadata.setdefault("labels", {})[WORKLOAD_LABEL] = workload
    kind = find_kind(served, body)
    if kind is None:
        raise ClientError(
            f"the cluster does not serve {body['apiVersion']} {body['kind']}",
            "provision the part of the platform that brings it",
        )
    path = kind.path(metadata["namespace"], metadata["name"])
    try:
        request(platform.api, "PATCH", path, body=body, fieldManager=FIELD_MANAGER, force="true")
    except k8s.ApiException as error:
        raise ClientError(
            f"{body['kind']} {metadata['name']} was refused: {refusal(error)}",
            "mend the workload's manifest.py, or what the platform allows in its namespace",
        ) from error


def refusal(error: Exception) -> str:
    """What the API server said, without headers."""
    body = getattr(error, "body", None)
    try:
        return str(json.loads(body)["message"]) if body else str(error)
    except (ValueError, KeyError):
        return str(error)


def remove_job(platform: Platform, name: str, namespace: str, patience: float = 60) -> None:
    """Remove an earlier Job of this name with its pods; a Job cannot be changed."""
    batch = k8s.BatchV1Api(platform.api)
    deadline = time.monotonic() + patience
    while True:
        try:
            batch.delete_namespaced_job(name, namespace, propagation_policy="Foreground")
        except k8s.ApiException as error:
            if error.status == 404:
                return
            raise
        if time.monotonic() > deadline:
            raise ClientError(
                f"the earlier Job {namespace}/{name} does not go away",
                f"see what holds it: kubectl -n {namespace} describe job {name}",
            )
        time.sleep(0.3)


def wait_for_job(
    platform: Platform, name: str, namespace: str, deadline: float, progress: Progress
) -> JobResult:
    """Follow the Job to its end."""
    batch = k8s.BatchV1Api(platform.api)
    began, told = time.monotonic(), ""
    seen: dict[str, str] = {}
    progress.begin(f"workload {name}")
    while True:
        job = batch.read_namespaced_job(name, namespace)
        pods = pods_of(platform, name, namespace)
        seen.update({pod.metadata.name: pod.spec.node_name or "no node" for pod in pods})
        state = ", ".join(f"{pod.metadata.name}: {describe(pod)}" for pod in pods)
        if state and state != told:
            progress.say(f"    {state}")
            told = state
        seconds = round(time.monotonic() - began, 1)
        conditions = {entry.type: entry for entry in job.status.conditions or [] if entry.status == "True"}
        if "Complete" in conditions:
            progress.end(f"workload {name}")
            return JobResult(name, seconds, messages(pods), {key(p): p.spec.node_name or "" for p in pods})
        cause = failure_of(conditions, pods) or (
            f"it was not done after {seconds} s" if seconds > deadline else ""
        )
        if cause:
            raise failed(platform, name, namespace, cause, seen)
        time.sleep(0.5)


def failure_of(conditions: dict[str, Any], pods: list[Any]) -> str:
    """Why there is no point in waiting on; empty while there is."""
    if "Failed" in conditions:
        return f"{conditions['Failed'].reason}: {conditions['Failed'].message}"
    for pod in pods:
        for status in pod.status.container_statuses or []:
            waiting = status.state.waiting
            if waiting and waiting.reason in HOPELESS:
                return f"pod {pod.metadata.name} cannot start: {waiting.reason}: {waiting.message or ''}"
    return ""


def pods_of(platform: Platform, job: str, namespace: str) -> list[Any]:
    found = platform.core.list_namespaced_pod(namespace, label_selector=f"batch.kubernetes.io/job-name={job}")
    return sorted(found.items, key=lambda pod: str(pod.metadata.name))


def key(pod: Any) -> str:
    """The pod's index in its Job, or its name."""
    labels = pod.metadata.labels or {}
    return str(labels.get("batch.kubernetes.io/job-completion-index", pod.metadata.name))


def describe(pod: Any) -> str:
    """The pod's state in a word or two."""
    for status in pod.status.container_statuses or []:
        if status.state.waiting and status.state.waiting.reason:
            return str(status.state.waiting.reason)
        if status.state.terminated:
            return f"{status.state.terminated.reason or 'ended'} ({status.state.terminated.exit_code})"
    where = f" on {pod.spec.node_name}" if pod.spec.node_name else ""
    return f"{pod.status.phase}{where}"


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


def failed(
    platform: Platform, job: str, namespace: str, cause: str, seen: dict[str, str] | None = None
) -> ClientError:
    """An error that carries each pod's own account, its events and its last lines.

    `seen` are the pods that there were, with their nodes: one that is gone is told with its last events.
    """
    parts = [f"workload {job} failed: {cause}"]
    left = pods_of(platform, job, namespace)
    for name in sorted((seen or {}).keys() - {pod.metadata.name for pod in left}):
        parts.append(f"  pod {name} on {(seen or {})[name]} is gone")
        parts += [f"    event: {line}" for line in events(platform, namespace, name)[-2:]]
    for pod in left:
        said = messages([pod]).get(key(pod), {})
        account = said.get("error") or said.get("text", "")
        parts.append(f"  pod {pod.metadata.name} ({describe(pod)} on {pod.spec.node_name or 'no node'})")
        parts += [f"    cause: {account.strip()[:1500]}"] if account else []
        parts += [f"    event: {line}" for line in warnings(platform, namespace, pod.metadata.name)]
        if not account:
            parts += [f"    log: {line}" for line in last_lines(platform, namespace, pod.metadata.name)]
    parts += [f"  event: {line}" for line in warnings(platform, namespace, job) if "BackoffLimit" not in line]
    return ClientError("\n".join(parts), f"see more: kubectl -n {namespace} describe job {job}")


def warnings(platform: Platform, namespace: str, name: str) -> list[str]:
    """The warnings among an object's events."""
    return events(platform, namespace, name, ",type=Warning")[-5:]


def events(platform: Platform, namespace: str, name: str, narrower: str = "") -> list[str]:
    """An object's events, each kind once, the latest last."""
    found = platform.core.list_namespaced_event(
        namespace, field_selector=f"involvedObject.name={name}{narrower}"
    )
    return list(dict.fromkeys(f"{event.reason}: {event.message}" for event in found.items))


def last_lines(platform: Platform, namespace: str, pod: str) -> list[str]:
    try:
        text = platform.core.read_namespaced_pod_log(pod, namespace, tail_lines=LOG_LINES)
    except k8s.ApiException:
        return []  # It never started.
    return str(text).splitlines()


def delete_workloads(
    platform: Platform,
    workload: str | None = None,
    *,
    deadline: float = 120,
    progress: Progress | None = None,
) -> list[str]:
    """Delete whatever carries the workloads' label (of one workload, or all) and wait until it is gone."""
    progress = progress or Silent()
    selector = f"{WORKLOAD_LABEL}={workload}" if workload else WORKLOAD_LABEL
    # Endpoints copy the labels of their Service, and go with it.
    served = [kind for kind in kinds(platform.api) if deletable(kind) and kind.kind != "Endpoints"]
    until = time.monotonic() + deadline
    deleted: dict[str, None] = {}
    while left := labelled(platform, served, selector):
        served = [kind for kind, _ in left]
        for kind, item in left:
            name = f"{kind.kind} {item['metadata']['namespace']}/{item['metadata']['name']}"
            if name not in deleted:
                progress.say(f"    deleting {name}")
            deleted[name] = None
            if not item["metadata"].get("deletionTimestamp"):
                delete_one(platform, kind, item)
        if time.monotonic() > until:
            raise ClientError(
                f"these workload objects do not go away: {', '.join(deleted)}",
                "see which finalizer holds them: kubectl get -o yaml",
            )
        time.sleep(0.3)
    return list(deleted)


def deletable(kind: Kind) -> bool:
    return kind.namespaced and {"list", "delete"} <= kind.verbs


def labelled(platform: Platform, served: list[Kind], selector: str) -> list[tuple[Kind, dict[str, Any]]]:
    """Every object with the label that no other object owns, once."""
    found: dict[str, tuple[Kind, dict[str, Any]]] = {}
    for kind in served:
        for item in listing(platform.api, kind, selector):
            if not item["metadata"].get("ownerReferences"):
                found.setdefault(item["metadata"]["uid"], (kind, item))
    return list(found.values())


def delete_one(platform: Platform, kind: Kind, item: dict[str, Any]) -> None:
    path = kind.path(item["metadata"]["namespace"], item["metadata"]["name"])
    try:
        request(platform.api, "DELETE", path, propagationPolicy="Foreground")
    except k8s.ApiException as error:
        if error.status != 404:  # Its controller may have been quicker.
            raise
