"""Takes workloads off the platform again: whatever carries their label."""

import time
from typing import Any

from kubernetes import client as k8s

from client.errors import ClientError
from client.objects import Kind, kinds, listing, request
from client.platform import Platform
from client.progress import Progress, Silent

WORKLOAD_LABEL = "seatrial.dev/workload"


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
