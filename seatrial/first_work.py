"""The first piece of work on a fresh platform: real data in, a first model out."""

from typing import Any

import workloads
from client import Platform, completed, deploy, offers, outputs
from seatrial.connection import workloads_run_in
from seatrial.console import ConsoleProgress
from workloads import pods

SERVICES = ("receive_alerts", "watch_objects")
"""What runs from then on: who is told of alerts, and what stands in for kube-state-metrics."""
WORKLOADS = ("ingest_flights", "train_delay")
"""In the order in which each needs what the one before made."""

EXPECTED_SECONDS = 120.0
"""Measured on 2 cores."""
FETCH = "fetch-workloads"


def do(platform: Platform, stack: str, progress: ConsoleProgress) -> list[str]:
    """Run each workload that has not been done in this image; returns the names of those that ran.

    What runs on is brought to this image first, which changes nothing where it is there.
    """
    image, offered = workloads_run_in(stack, None), offers(platform)
    manifests = {each: workloads.manifest(each, image, **offered) for each in WORKLOADS}
    left = [each for each in WORKLOADS if not completed(platform, manifests[each])]
    if left:
        deploy(platform, FETCH, [fetch(image)], wait=False)
    for service in SERVICES:
        deploy(platform, service, workloads.manifest(service, image, **offered), progress=progress)
    for workload in left:
        deploy(platform, workload, manifests[workload], progress=progress)
    return left


def fetch(image: str, nodes: int = 2) -> dict[str, Any]:
    """A Job that does nothing on so many nodes, which fetch and unpack the image for it: 850 MB, for which
    the workloads would wait one after the other. It goes by itself.
    """
    main = pods.container(image, "", [], cpu="1m", memory="8Mi", memory_limit="32Mi") | {"command": ["true"]}
    apart = {"podAntiAffinity": pods.on_a_node(pods.labels(FETCH))}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": FETCH, "namespace": outputs.NAMESPACE_WORKLOADS, "labels": pods.labels(FETCH)},
        "spec": {
            "completions": nodes,
            "parallelism": nodes,
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": 0,
            "template": pods.pod(FETCH, main, affinity=apart),
        },
    }
