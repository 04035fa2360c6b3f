"""The first piece of work on a fresh platform: real data in, a first model out."""

import importlib
from typing import Any

from kubernetes import client as k8s

from client import Platform, deploy
from seatrial.connection import workloads_run_in
from seatrial.console import ConsoleProgress

WORKLOADS = ("ingest_flights", "train_delay")
"""In the order in which each needs what the one before made."""


EXPECTED_SECONDS = 150.0
"""Measured on 2 cores."""


def do(platform: Platform, stack: str, progress: ConsoleProgress) -> list[str]:
    """Run each workload that has not been done in this image; returns the names of those that ran."""
    image = workloads_run_in(stack, None)
    ran = []
    for workload in WORKLOADS:
        objects = importlib.import_module(f"workloads.{workload}.manifest").objects(image)
        if not done(platform, objects):
            deploy(platform, workload, objects, progress=progress)
            ran.append(workload)
    return ran


def done(platform: Platform, objects: list[dict[str, Any]]) -> bool:
    """Whether the workload's jobs are there, complete, and ran in the image that they would run in now."""
    batch = k8s.BatchV1Api(platform.api)
    for wanted in (item for item in objects if item["kind"] == "Job"):
        meta = wanted["metadata"]
        try:
            job = batch.read_namespaced_job(meta["name"], meta["namespace"])
        except k8s.ApiException as missing:
            if missing.status != 404:
                raise
            return False
        image = wanted["spec"]["template"]["spec"]["containers"][0]["image"]
        if not job.status.succeeded or job.spec.template.spec.containers[0].image != image:
            return False
    return True
