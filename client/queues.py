"""The queue in which jobs wait for their part of the quota, and what they wait for."""

import json
from typing import Any

from kubernetes import client as k8s

from client.objects import request, served_kinds
from client.platform import Platform
from infra import outputs

API = "/apis/kueue.x-k8s.io/v1beta1/namespaces"
_JOB = "kueue.x-k8s.io/job-uid"
"""Label that Kueue gives the Workload of a job."""


def offers(platform: Platform) -> dict[str, Any]:
    """What a platform has that a workload's manifest depends on: `workloads.manifest(…, **offers(platform))`.

    `served`: the kinds of its cluster; `queue`: the queue that jobs are to wait in, or None.
    """
    return {"served": served_kinds(platform.api), "queue": queue_of(platform)}


def queue_of(platform: Platform) -> str | None:
    """The platform's queue, where the part `queueing` was provisioned."""
    path = f"{API}/{outputs.NAMESPACE_WORKLOADS}/localqueues/{outputs.QUEUE}"
    return outputs.QUEUE if _get(platform, path) else None


def waits(platform: Platform, job: dict[str, Any]) -> str:
    """What a job waits for in its queue, in Kueue's words; empty where it does not wait."""
    metadata = job["metadata"]
    queue = metadata.get("labels", {}).get(outputs.QUEUE_LABEL)
    if queue is None:
        return ""
    path = f"{API}/{metadata['namespace']}/workloads"
    found = _get(platform, path, labelSelector=f"{_JOB}={metadata['uid']}") or {"items": []}
    for workload in found["items"]:
        for condition in workload.get("status", {}).get("conditions") or []:
            if condition["type"] == "QuotaReserved" and condition["status"] == "False":
                return f"waits in queue {queue}: {condition.get('message', '')}"
    return ""


def _get(platform: Platform, path: str, **query: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(request(platform.api, "GET", path, **query))
    except k8s.ApiException as error:
        if error.status != 404:  # Neither the queue nor, without the part, its kind is there.
            raise
        return None
    return found
