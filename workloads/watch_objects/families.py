"""What is told of each kind of object: a part of kube-state-metrics's names, with its labels and meanings."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

Object = dict[str, Any]
Sample = tuple[str, dict[str, str], float]
"""Name, labels, value."""

COUNTERS = frozenset({"kube_pod_container_status_restarts_total"})
"""All others are gauges."""
PHASES = ("Pending", "Succeeded", "Failed", "Unknown", "Running")
STATES = ("True", "False", "Unknown")
POD_REASONS = (
    "Evicted", "NodeAffinity", "NodeLost", "PreemptionByScheduler", "SchedulingGated", "Shutdown",
    "TerminationByKubelet", "UnexpectedAdmissionError",
)  # fmt: skip
"""What `kube_pod_status_reason` may say; any other reason is `Other`."""
JOB_REASONS = ("BackoffLimitExceeded", "DeadlineExceeded", "Evicted")

_QUANTITY = re.compile(r"([+-]?[0-9.]+)(?:[eE]([+-]?[0-9]+)|([KMGTPE]i|[numkMGTPE]))?")
_DECIMAL = {
    unit: 10.0**power for unit, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
}
_BINARY = {f"{unit}i": 1024.0**power for power, unit in enumerate("KMGTPE", 1)}
_UNITS = {"cpu": "core", "memory": "byte", "storage": "byte", "ephemeral-storage": "byte"}
_ZERO_IF_ABSENT = {
    "Deployment": {
        "kube_deployment_status_replicas": "replicas",
        "kube_deployment_status_replicas_ready": "readyReplicas",
        "kube_deployment_status_replicas_available": "availableReplicas",
        "kube_deployment_status_replicas_unavailable": "unavailableReplicas",
        "kube_deployment_status_replicas_updated": "updatedReplicas",
        "kube_deployment_status_observed_generation": "observedGeneration",
    },
    "StatefulSet": {
        "kube_statefulset_status_replicas": "replicas",
        "kube_statefulset_status_replicas_ready": "readyReplicas",
        "kube_statefulset_status_replicas_available": "availableReplicas",
        "kube_statefulset_status_replicas_current": "currentReplicas",
        "kube_statefulset_status_replicas_updated": "updatedReplicas",
        "kube_statefulset_status_observed_generation": "observedGeneration",
    },
    "DaemonSet": {
        "kube_daemonset_status_current_number_scheduled": "currentNumberScheduled",
        "kube_daemonset_status_desired_number_scheduled": "desiredNumberScheduled",
        "kube_daemonset_status_number_available": "numberAvailable",
        "kube_daemonset_status_number_misscheduled": "numberMisscheduled",
        "kube_daemonset_status_number_ready": "numberReady",
        "kube_daemonset_status_number_unavailable": "numberUnavailable",
        "kube_daemonset_status_updated_number_scheduled": "updatedNumberScheduled",
        "kube_daemonset_status_observed_generation": "observedGeneration",
    },
    "Job": {
        "kube_job_status_active": "active",
        "kube_job_status_ready": "ready",
        "kube_job_status_succeeded": "succeeded",
    },
}  # fmt: skip
"""Figures of an object's status by kind. The API leaves out what is 0."""


def quantity(text: str) -> float:
    """A resource quantity: `250m` is 0.25, `1Gi` 1073741824, `1e3` 1000.

    Raises:
        ValueError: it is none.
    """
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no quantity, for example 250m or 1Gi")
    number, exponent, unit = found.groups()
    if exponent:
        return float(f"{number}e{exponent}")
    # Divided, since 250 times 0.001 is not 0.25 to the last bit for each number.
    scale = (_DECIMAL | _BINARY)[unit] if unit else 1.0
    return float(number) / round(1 / scale) if scale < 1 else float(number) * scale


def node(item: Object) -> Iterator[Sample]:
    spec, status, own = item.get("spec", {}), item.get("status", {}), {"node": item["metadata"]["name"]}
    about = status.get("nodeInfo", {})
    inside = [each["address"] for each in status.get("addresses", []) if each["type"] == "InternalIP"]
    info = {
        "kernel_version": about.get("kernelVersion", ""),
        "os_image": about.get("osImage", ""),
        "container_runtime_version": about.get("containerRuntimeVersion", ""),
        "kubelet_version": about.get("kubeletVersion", ""),
        "kubeproxy_version": "deprecated",
        "provider_id": spec.get("providerID", ""),
        "pod_cidr": spec.get("podCIDR", ""),
        "system_uuid": about.get("systemUUID", ""),
        "internal_ip": inside[-1] if inside else "",
    }
    yield "kube_node_info", own | info, 1
    yield "kube_node_spec_unschedulable", own, float(spec.get("unschedulable", False))
    for taint in spec.get("taints", []):
        labels = {"key": taint["key"], "value": taint.get("value", ""), "effect": taint["effect"]}
        yield "kube_node_spec_taint", own | labels, 1
    for each in status.get("conditions", []):
        for state, value in _states(each["status"]):
            labels = {"condition": each["type"], "status": state}
            yield "kube_node_status_condition", own | labels, value
    for name in ("capacity", "allocatable"):
        for labels, value in _resources(status.get(name, {}), counted=("pods",)):
            yield f"kube_node_status_{name}", own | labels, value


def pod(item: Object) -> Iterator[Sample]:
    status, metadata = item.get("status", {}), item["metadata"]
    own = {"namespace": metadata["namespace"], "pod": metadata["name"], "uid": metadata["uid"]}
    owners = metadata.get("ownerReferences", [])
    yield "kube_pod_info", own | _pod_info(item, owners), 1
    for labels in _owners(owners):
        yield "kube_pod_owner", own | labels, 1
    for each in PHASES if status.get("phase") else ():
        yield "kube_pod_status_phase", own | {"phase": each}, float(each == status["phase"])
    for name, condition in (("ready", "Ready"), ("scheduled", "PodScheduled")):
        for labels, value in _conditions(item, condition):
            yield f"kube_pod_status_{name}", own | labels, value
    for reason in _pod_reasons(status):
        yield "kube_pod_status_reason", own | {"reason": reason}, 1
    for container in status.get("containerStatuses", []):
        yield from _container(own, container)
    for name in ("requests", "limits"):
        for labels, value in _containers_resources(item["spec"], name):
            yield f"kube_pod_container_resource_{name}", own | labels, value


def _pod_info(item: Object, owners: list[Object]) -> dict[str, str]:
    spec, status = item["spec"], item.get("status", {})
    controller: Object = next((each for each in owners if each.get("controller")), {})
    return {
        "host_ip": status.get("hostIP", ""),
        "pod_ip": status.get("podIP", ""),
        "node": spec.get("nodeName", ""),
        "created_by_kind": controller.get("kind", ""),
        "created_by_name": controller.get("name", ""),
        "priority_class": spec.get("priorityClassName", ""),
        "host_network": str(spec.get("hostNetwork", False)).lower(),
    }


def _containers_resources(spec: Object, name: str) -> Iterator[tuple[dict[str, str], float]]:
    for container in spec["containers"]:
        own = {"container": container["name"], "node": spec.get("nodeName", "")}
        for labels, value in _resources(container.get("resources", {}).get(name, {})):
            yield own | labels, value


def _container(pod: Mapping[str, str], status: Object) -> Iterator[Sample]:
    own = {**pod, "container": status["name"]}
    yield "kube_pod_container_status_ready", own, float(status.get("ready", False))
    yield "kube_pod_container_status_restarts_total", own, float(status.get("restartCount", 0))
    for name, state in (
        ("waiting", status.get("state", {}).get("waiting")),
        ("terminated", status.get("state", {}).get("terminated")),
        ("last_terminated", status.get("lastState", {}).get("terminated")),
    ):
        if state is not None:
            labels = {"reason": state.get("reason", "")}
            yield f"kube_pod_container_status_{name}_reason", own | labels, 1


def _pod_reasons(status: Object) -> Iterator[str]:
    said = {status.get("reason")}
    said |= {each.get("reason") for each in status.get("conditions", [])}
    ended = [each.get("state", {}).get("terminated") or {} for each in status.get("containerStatuses", [])]
    said |= {each.get("reason") for each in ended}
    yield from (reason for reason in POD_REASONS if reason in said)
    if status.get("reason") and status["reason"] not in POD_REASONS:
        yield "Other"


def deployment(item: Object) -> Iterator[Sample]:
    own = _own(item, "deployment")
    yield from _figures("Deployment", item, own)
    if "replicas" in item["spec"]:
        yield "kube_deployment_spec_replicas", own, float(item["spec"]["replicas"])
    yield "kube_deployment_spec_paused", own, float(item["spec"].get("paused", False))
    yield "kube_deployment_metadata_generation", own, float(item["metadata"].get("generation", 0))


def stateful_set(item: Object) -> Iterator[Sample]:
    own = _own(item, "statefulset")
    yield from _figures("StatefulSet", item, own)
    if "replicas" in item["spec"]:
        yield "kube_statefulset_replicas", own, float(item["spec"]["replicas"])
    yield "kube_statefulset_metadata_generation", own, float(item["metadata"].get("generation", 0))


def daemon_set(item: Object) -> Iterator[Sample]:
    own = _own(item, "daemonset")
    yield from _figures("DaemonSet", item, own)
    yield "kube_daemonset_metadata_generation", own, float(item["metadata"].get("generation", 0))


def job(item: Object) -> Iterator[Sample]:
    spec, status, own = item["spec"], item.get("status", {}), _own(item, "job_name")
    yield "kube_job_info", own, 1
    for labels in _owners(item["metadata"].get("ownerReferences", [])):
        yield "kube_job_owner", own | labels, 1
    yield from _figures("Job", item, own)
    for name, wanted in (("completions", "completions"), ("parallelism", "parallelism")):
        if wanted in spec:
            yield f"kube_job_spec_{name}", own, float(spec[wanted])
    for name, moment in (("start", "startTime"), ("completion", "completionTime")):
        if moment in status:
            yield f"kube_job_status_{name}_time", own, datetime.fromisoformat(status[moment]).timestamp()
    for labels, value in _job_failures(status):
        yield "kube_job_status_failed", own | labels, value
    for name, condition in (("complete", "Complete"), ("failed", "Failed")):
        for labels, value in _conditions(item, condition):
            yield f"kube_job_{name}", own | labels, value


def _job_failures(status: Object) -> Iterator[tuple[dict[str, str], float]]:
    """The failed pods without a reason; or, where the job failed for a known one, a 1 for that reason."""
    failed = status.get("failed", 0)
    if not failed:
        yield {}, 0
        return
    said = [each.get("reason") for each in status.get("conditions", []) if each["type"] == "Failed"]
    for reason in JOB_REASONS if said else ():
        yield {"reason": reason}, float(reason in said)
    if not set(said) & set(JOB_REASONS):
        yield {"reason": ""}, float(failed)


# --- what kinds have in common ------------------------------------------------------------------------------


def _own(item: Object, label: str) -> dict[str, str]:
    return {"namespace": item["metadata"]["namespace"], label: item["metadata"]["name"]}


def _figures(kind: str, item: Object, own: dict[str, str]) -> Iterator[Sample]:
    for name, field in _ZERO_IF_ABSENT[kind].items():
        yield name, own, float(item.get("status", {}).get(field, 0))


def _owners(owners: list[Object]) -> Iterator[dict[str, str]]:
    if not owners:
        yield {"owner_kind": "", "owner_name": "", "owner_is_controller": ""}
    for each in owners:
        yield {
            "owner_kind": each["kind"],
            "owner_name": each["name"],
            "owner_is_controller": str(each.get("controller", False)).lower(),
        }


def _conditions(item: Object, wanted: str) -> Iterator[tuple[dict[str, str], float]]:
    for each in item.get("status", {}).get("conditions", []):
        if each["type"] == wanted:
            yield from (({"condition": state}, value) for state, value in _states(each["status"]))


def _states(status: str) -> Iterator[tuple[str, float]]:
    """One of the three is 1."""
    yield from ((state.lower(), float(state == status)) for state in STATES)


def _resources(
    amounts: Mapping[str, str], counted: tuple[str, ...] = ()
) -> Iterator[tuple[dict[str, str], float]]:
    """With a unit; `counted` are those that are whole numbers besides extended resources."""
    for name, amount in amounts.items():
        unit = "integer" if name in counted or _extended(name) else _UNITS.get(name)
        if name.startswith(("hugepages-", "attachable-volumes-")):
            unit = "byte"
        if unit:
            yield {"resource": re.sub(r"\W", "_", name, flags=re.ASCII), "unit": unit}, quantity(amount)


def _extended(name: str) -> bool:
    """Whether a resource is a device's, for example `nvidia.com/gpu`."""
    return "/" in name and "kubernetes.io/" not in name and not name.startswith("requests.")


OF: dict[str, tuple[str, Callable[[Object], Iterator[Sample]]]] = {
    "nodes": ("/api/v1/nodes", node),
    "pods": ("/api/v1/pods", pod),
    "deployments": ("/apis/apps/v1/deployments", deployment),
    "statefulsets": ("/apis/apps/v1/statefulsets", stateful_set),
    "daemonsets": ("/apis/apps/v1/daemonsets", daemon_set),
    "jobs": ("/apis/batch/v1/jobs", job),
}
"""Resource → where it is listed and what is told of one object. The Kubernetes API, so never another kind."""
