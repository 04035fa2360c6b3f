"""Puts a workload on the platform, waits for its jobs and pods, and says why when one fails.

A job is a Job, a TrainJob or an MPIJob: each ends in a condition that says how.
"""

import copy
import json
import time
from dataclasses import dataclass, field
from typing import Any

from kubernetes import client as k8s

from client import deployments, pods, queues, rules, scaling
from client.errors import ClientError
from client.objects import Kind, find_kind, kinds, request
from client.platform import Platform
from client.pods import Watched
from client.progress import Progress, Silent
from client.removal import WORKLOAD_LABEL
from infra import outputs

FIELD_MANAGER = "seatrial"
ADMITTED = 60.0
"""Seconds within which whoever admits objects of a kind answers: its controller may just be starting anew."""
ENDED_WELL = {"Complete", "Succeeded"}
"""The condition of a job that did its work; the second is an MPIJob's."""

PODS_OF = {
    "Job": "batch.kubernetes.io/job-name",
    "TrainJob": "jobset.sigs.k8s.io/jobset-name",
    "MPIJob": "training.kubeflow.org/job-name",
}
"""The label by which the pods of a job are found, by the job's kind."""
PARTS = {
    "gateway.networking.k8s.io/HTTPRoute": "serving",
    "kubeflow.org/MPIJob": "training",
    "serving.kserve.io/InferenceService": "serving",
    "trainer.kubeflow.org/TrainJob": "training",
}
"""The part that must be provisioned for a kind, by `group/kind`, which the core has not."""


@dataclass
class JobResult:
    """What a finished job left: the termination message of each pod of the last attempt, by index or name."""

    name: str
    seconds: float
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    nodes: dict[str, str] = field(default_factory=dict)
    restarts: int = 0
    """How often all pods were made anew."""


@dataclass(frozen=True)
class Handle:
    """One job of a platform."""

    platform: Platform
    kind: Kind
    namespace: str
    name: str

    @property
    def selector(self) -> str:
        """Picks the job's pods."""
        return f"{PODS_OF[self.kind.kind]}={self.name}"

    @property
    def path(self) -> str:
        return self.kind.path(self.namespace, self.name)

    def read(self) -> dict[str, Any]:
        """The job as it is now."""
        job: dict[str, Any] = json.loads(request(self.platform.api, "GET", self.path))
        return job


def deploy(
    platform: Platform,
    workload: str,
    objects: list[dict[str, Any]],
    *,
    wait: bool = True,
    deadline: float = 900,
    progress: Progress | None = None,
) -> dict[str, JobResult]:
    """Apply the workload's objects; with `wait`, return the result of each job by its name.

    What runs on (a Deployment) is waited for until all its pods are those of these objects, and ready.
    """
    served = kinds(platform.api)
    found = jobs(platform, objects, served)
    for job in found:
        remove(job)
    for item in objects:
        if item["kind"] == "Deployment":
            scaling.settle(platform, item)
        apply(platform, served, workload, item)
    if not wait:
        return {}
    results = {job.name: follow(job, deadline, progress) for job in found}
    for item in (entry for entry in objects if entry["kind"] == "Deployment"):
        metadata = item["metadata"]
        namespace = metadata.get("namespace", outputs.NAMESPACE_WORKLOADS)
        deployments.follow(platform, namespace, metadata["name"], deadline, progress)
    return results


def jobs(platform: Platform, objects: list[dict[str, Any]], served: list[Kind] | None = None) -> list[Handle]:
    """The jobs among the objects."""
    served = kinds(platform.api) if served is None else served
    found = []
    for item in (entry for entry in objects if entry["kind"] in PODS_OF):
        namespace = item["metadata"].get("namespace", outputs.NAMESPACE_WORKLOADS)
        name = str(item["metadata"]["name"])
        found.append(Handle(platform, require_kind(served, item), namespace, name))
    return found


def require_kind(served: list[Kind], item: dict[str, Any]) -> Kind:
    """The kind of a manifest.

    Raises:
        ClientError: the cluster does not serve it.
    """
    kind = find_kind(served, item)
    if kind is None:
        part = PARTS.get(group_kind(item["apiVersion"], item["kind"]))
        raise ClientError(
            f"the cluster does not serve {item['apiVersion']} {item['kind']}",
            "provision the part of the platform that brings it"
            + (f": seatrial up --with {part}" if part else ""),
        )
    return kind


def group_kind(api_version: str, kind: str) -> str:
    """A kind whatever its version, as `group/kind`."""
    return f"{api_version.partition('/')[0]}/{kind}"


def apply(platform: Platform, served: list[Kind], workload: str, item: dict[str, Any]) -> None:
    """Server-side apply as the manager of workloads, with the label by which it is found again; alerts are
    hastened where the stack hastens its own.

    Raises:
        ClientError: it was refused, or nobody admits such objects for longer than ADMITTED.
    """
    body = copy.deepcopy(item)
    metadata = body["metadata"]
    metadata.setdefault("namespace", outputs.NAMESPACE_WORKLOADS)
    metadata.setdefault("labels", {})[WORKLOAD_LABEL] = workload
    if body["kind"] == rules.KIND:
        rules.hasten(body, rules.longest_for(platform))
    path = require_kind(served, body).path(metadata["namespace"], metadata["name"])
    deadline = time.monotonic() + ADMITTED
    while True:
        try:
            request(platform.api, "PATCH", path, body=body, fieldManager=FIELD_MANAGER, force="true")
            return
        except k8s.ApiException as error:
            if not (_unadmitted(error) and time.monotonic() < deadline):
                raise ClientError(
                    f"{body['kind']} {metadata['name']} was refused: {refusal(error)}",
                    "mend the workload's manifest.py, or what the platform allows in its namespace",
                ) from error
        time.sleep(1)


def _unadmitted(error: k8s.ApiException) -> bool:
    """Whether the controller that admits such an object did not answer."""
    return error.status == 500 and "failed calling webhook" in refusal(error)


def refusal(error: Exception) -> str:
    """What the API server said, without headers."""
    body = getattr(error, "body", None)
    try:
        return str(json.loads(body)["message"]) if body else str(error)
    except (ValueError, KeyError):
        return str(error)


def remove(job: Handle, patience: float = 60) -> None:
    """Remove an earlier job of this name with its pods; a job cannot be changed."""
    deadline = time.monotonic() + patience
    while True:
        try:
            request(job.platform.api, "DELETE", job.path, propagationPolicy="Foreground")
        except k8s.ApiException as error:
            if error.status == 404:
                return
            raise
        if time.monotonic() > deadline:
            kind = job.kind.kind
            raise ClientError(
                f"the earlier {kind} {job.namespace}/{job.name} does not go away",
                f"see what holds it: kubectl -n {job.namespace} describe {kind.lower()} {job.name}",
            )
        time.sleep(0.3)


def follow(job: Handle, deadline: float = 900, progress: Progress | None = None) -> JobResult:
    """Follow the job to its end; restarts are told with the causes of the failures before.

    Raises:
        ClientError: it failed, cannot start, or took longer than `deadline` seconds.
    """
    progress = progress or Silent()
    began, told, restarts = time.monotonic(), "", 0
    progress.begin(f"workload {job.name}")
    with Watched(job.platform, job.namespace, job.selector) as watched:
        while True:
            # The job is read first: the pods that are seen then are at least as far.
            now, there = job.read(), watched.look()
            conditions = conditions_of(now)
            for number in range(restarts, watched.attempt):
                tell_restart(watched.of(number), number + 1, progress)
            restarts = watched.attempt
            state = pods.states(there)
            queued = "" if there else queues.waits(job.platform, now)
            state = state or queued
            if state and state != told:
                progress.say(f"    {state}")
                told = state
            seconds = round(time.monotonic() - began, 1)
            if ENDED_WELL & conditions.keys():
                progress.end(f"workload {job.name}")
                nodes = {pods.key(pod): pod.spec.node_name or "" for pod in there}
                return JobResult(job.name, seconds, pods.messages(there), nodes, restarts)
            late = f"it was not done after {seconds} s" + (f": it {queued}" if queued else "")
            cause = failure_of(conditions, there) or (late if seconds > deadline else "")
            if cause:
                raise failed(job, cause, watched)
            time.sleep(0.5)


def conditions_of(job: dict[str, Any]) -> dict[str, str]:
    """The conditions that hold, each with its reason and message."""
    return {
        entry["type"]: f"{entry.get('reason', '')}: {entry.get('message', '')}"
        for entry in job.get("status", {}).get("conditions") or []
        if entry["status"] == "True"
    }


def completed(platform: Platform, objects: list[dict[str, Any]]) -> bool:
    """Whether the jobs among the objects are there, complete, and ran in the images that these name."""
    wanted = [entry for entry in objects if entry["kind"] in PODS_OF]
    for job, item in zip(jobs(platform, objects), wanted, strict=True):
        try:
            there = job.read()
        except k8s.ApiException as missing:
            if missing.status != 404:
                raise
            return False
        if not ENDED_WELL & conditions_of(there).keys() or image_of(there) != image_of(item):
            return False
    return True


def image_of(job: dict[str, Any]) -> str:
    """The image that a job's pods run."""
    spec = job["spec"]
    if job["kind"] == "TrainJob":
        return str(spec["trainer"]["image"])
    template = spec["mpiReplicaSpecs"]["Worker"]["template"] if job["kind"] == "MPIJob" else spec["template"]
    return str(template["spec"]["containers"][0]["image"])


def tell_restart(before: list[Any], number: int, progress: Progress) -> None:
    """Say that a job begins anew, and what its pods said of the failure before."""
    causes = [f"{pod.metadata.name}: {pods.account(pod) or pods.describe(pod)}" for pod in before]
    progress.say("\n      ".join([f"    restart {number}, after", *causes]))


def failure_of(conditions: dict[str, str], there: list[Any]) -> str:
    """Why there is no point in waiting on; empty while there is."""
    return conditions.get("Failed") or pods.hopeless(there)


def failed(job: Handle, cause: str, watched: Watched) -> ClientError:
    """An error that carries the account of each pod of the last attempt, also of those that are gone."""
    there = watched.look()
    names = {pod.metadata.name for pod in there}
    gone = [pod for pod in watched.of(watched.attempt) if pod.metadata.name not in names]
    after = f" after {watched.attempt} restarts" if watched.attempt else ""
    lines = [
        f"workload {job.name} failed{after}: {cause}",
        *pods.accounts(job.platform, job.namespace, there, gone),
    ]
    told = pods.warnings(job.platform, job.namespace, job.name)
    lines += [f"  event: {line}" for line in told if "BackoffLimit" not in line]
    see = f"kubectl -n {job.namespace} describe {job.kind.kind.lower()} {job.name}"
    return ClientError("\n".join(lines), f"see more: {see}")
