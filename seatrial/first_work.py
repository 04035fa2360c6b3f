"""The first piece of work on a fresh platform: real data in, a first model out."""

import workloads
from client import Platform, completed, deploy, offers
from seatrial.connection import workloads_run_in
from seatrial.console import ConsoleProgress

SERVICES = ("receive_alerts", "watch_objects")
"""What runs from then on: who is told of alerts, and what stands in for kube-state-metrics."""
WORKLOADS = ("ingest_flights", "train_delay")
"""In the order in which each needs what the one before made."""

EXPECTED_SECONDS = 150.0
"""Measured on 2 cores."""


def do(platform: Platform, stack: str, progress: ConsoleProgress) -> list[str]:
    """Run each workload that has not been done in this image; returns the names of those that ran.

    What runs on is brought to this image first, which changes nothing where it is there.
    """
    image, offered = workloads_run_in(stack, None), offers(platform)
    for service in SERVICES:
        deploy(platform, service, workloads.manifest(service, image, **offered), progress=progress)
    ran = []
    for workload in WORKLOADS:
        objects = workloads.manifest(workload, image, **offered)
        if not completed(platform, objects):
            deploy(platform, workload, objects, progress=progress)
            ran.append(workload)
    return ran
