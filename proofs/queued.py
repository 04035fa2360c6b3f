"""A queue with room for one small job, and the jobs that proofs put into it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client as k8s

import client
from client import Platform, outputs
from client.jobs import Handle
from client.waiting import until
from proofs import probe
from workloads import gang, image_of, mpi, pods

GROUP, VERSION = "kueue.x-k8s.io", "v1beta1"
NAME = "probe-queue"
"""Of the flavor, the ClusterQueue and the LocalQueue that are made for the proof."""
CPU, QUOTA = "200m", "300m"
"""What a pod that works asks for, and what the queue has: not enough for two."""
RELEASED = "/tmp/released"
_HOLDS = f"until [ -e {RELEASED} ]; do sleep 0.2; done"
_IS_RANK_0 = "print('{\"rank\": 0}')"
_PLURALS = {"ResourceFlavor": "resourceflavors", "ClusterQueue": "clusterqueues", "LocalQueue": "localqueues"}


@contextmanager
def small_queue(platform: Platform) -> Iterator[None]:
    """The queue while it is needed; what a killed proof left of an earlier one is replaced."""
    _remove(platform)
    for kind, spec in specs(QUOTA).items():
        body = {
            "apiVersion": f"{GROUP}/{VERSION}",
            "kind": kind,
            "metadata": {"name": NAME},
            "spec": spec,
        }
        _call(platform, "create", kind, body)
    try:
        yield
    finally:
        _remove(platform)


def specs(cpu: str) -> dict[str, dict[str, Any]]:
    """The `spec` of each object by its kind, with a quota of so many cores."""
    quota = [{"name": "cpu", "nominalQuota": cpu}, {"name": "memory", "nominalQuota": "1Gi"}]
    group = {"coveredResources": ["cpu", "memory"], "flavors": [{"name": NAME, "resources": quota}]}
    return {
        "ResourceFlavor": {},
        "ClusterQueue": {"namespaceSelector": {}, "resourceGroups": [group]},
        "LocalQueue": {"clusterQueue": NAME},
    }


def _remove(platform: Platform) -> None:
    """In the order in which they hold each other."""
    for kind in reversed(_PLURALS):

        def gone(kind: str = kind) -> bool:
            try:
                _call(platform, "delete", kind, NAME)
            except k8s.ApiException as error:
                if error.status != 404:
                    raise
                return True
            return False

        until(gone, f"{kind} {NAME} to go")


def change(platform: Platform, kind: str, name: str, body: dict[str, Any]) -> None:
    """Patch one of Kueue's objects.

    Raises:
        ApiException: the object is not there, or Kueue refuses the change.
    """
    _call(platform, "patch", kind, name, body)


def condition(platform: Platform, kind: str, name: str, wanted: str) -> dict[str, Any]:
    """A condition of one of Kueue's objects; empty where it has none of that type yet."""
    return _condition(_call(platform, "get", kind, name), wanted)


def _condition(found: dict[str, Any], wanted: str) -> dict[str, Any]:
    conditions: list[dict[str, Any]] = found.get("status", {}).get("conditions") or []
    return next((entry for entry in conditions if entry["type"] == wanted), {})


def _call(platform: Platform, verb: str, kind: str, *arguments: Any) -> Any:
    custom = k8s.CustomObjectsApi(platform.api)
    plural = _PLURALS[kind]
    if kind == "LocalQueue":
        function = getattr(custom, f"{verb}_namespaced_custom_object")
        return function(GROUP, VERSION, outputs.NAMESPACE_WORKLOADS, plural, *arguments)
    return getattr(custom, f"{verb}_cluster_custom_object")(GROUP, VERSION, plural, *arguments)


# --- jobs -------------------------------------------------------------------------------------------------


def put(platform: Platform, name: str, *, queue: str | None, holds: bool = False) -> Handle:
    """Apply a TrainJob of one small pod, which ends at once or holds on until it is released."""
    main = pods.container(
        probe.workload_image(platform), "-", [], cpu=CPU, memory="64Mi", memory_limit="256Mi"
    )
    main["command"] = ["sh", "-c", _HOLDS if holds else "true"]
    found = gang.objects(
        main, form="TrainJob", name=name, pods=1, gpus=0, namespace=outputs.NAMESPACE_WORKLOADS
    )
    return _apply(platform, name, found, queue)


def put_mpi(platform: Platform, name: str, *, queue: str) -> Handle:
    """Apply an MPIJob of one small worker, which ends at once; its launcher asks for something too."""
    found = mpi.objects(
        image_of(probe.workload_image(platform), mpi.IMAGE), "-", [],
        name=name, workers=1, env=[], namespace=outputs.NAMESPACE_WORKLOADS,
        memory="64Mi", memory_limit="256Mi",
    )  # fmt: skip
    (launcher,) = found[0]["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"]
    launcher["command"][-2:] = ["-c", _IS_RANK_0]
    return _apply(platform, name, found, queue)


def _apply(platform: Platform, name: str, found: list[dict[str, Any]], queue: str | None) -> Handle:
    if queue is not None:
        found[0]["metadata"]["labels"][outputs.QUEUE_LABEL] = queue
    client.deploy(platform, name, found, wait=False)
    (job,) = client.jobs.jobs(platform, found)
    return job


def quota_reserved(platform: Platform, job: Handle) -> dict[str, Any]:
    """The condition that says whether a job has its part of the quota; empty while Kueue has not looked."""
    listed = k8s.CustomObjectsApi(platform.api).list_namespaced_custom_object(
        GROUP, VERSION, job.namespace, "workloads",
        label_selector=f"kueue.x-k8s.io/job-uid={job.read()['metadata']['uid']}",
    )  # fmt: skip
    return next((_condition(each, "QuotaReserved") for each in listed["items"]), {})


def pods_of(platform: Platform, job: Handle) -> list[Any]:
    """The pods of a job that are there."""
    found: list[Any] = platform.core.list_namespaced_pod(job.namespace, label_selector=job.selector).items
    return found


def suspended(job: Handle) -> bool:
    spec = job.read()["spec"]
    return bool(spec.get("runPolicy", spec).get("suspend"))


def running(platform: Platform, job: Handle) -> bool:
    return any(pod.status.phase == "Running" for pod in pods_of(platform, job))


def release(platform: Platform, job: Handle) -> None:
    """Let a job that holds on come to its end."""
    (pod,) = pods_of(platform, job)
    client.pods.execute(platform, pod, ("touch", RELEASED))
