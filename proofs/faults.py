"""Named ways to break a running platform: which proof must go red then, and with which words.

Each fault is a context manager that breaks on entering and mends on leaving. What breaks a node of a cluster
is known to those who made the cluster: it comes in as a hook (`during_training`).
"""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from kubernetes import client as k8s

import client
import workloads
from client import ClientError, Platform, outputs
from proofs import probe
from proofs.run import FAILED, Result, prove
from proofs.subjects import training
from workloads.ingest_flights import config as ingest


@dataclass(frozen=True)
class Fault:
    """A way to break things: these proofs must fail, with one of these words in the cause."""

    name: str
    breaks: Callable[[Platform], AbstractContextManager[None]]
    reddens: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """Whether the right proofs went red for the right reason, and turned green again."""

    fault: str
    broken: list[Result]
    mended: list[Result]
    complaints: list[str]


def trial(platform: Platform, fault: Fault) -> Trial:
    """Break, prove, mend, prove again."""
    with fault.breaks(platform):
        forget(platform)
        broken = prove(platform, only=fault.reddens, deadline=300)
    forget(platform)
    mended = prove(platform, only=fault.reddens, deadline=300)
    complaints = [f"{entry.name} did not go red" for entry in broken if entry.result != FAILED]
    complaints += [
        f"{entry.name} went red without naming the cause: {entry.cause}"
        for entry in broken
        if entry.result == FAILED and not any(word.lower() in entry.cause.lower() for word in fault.words)
    ]
    complaints += [
        f"{entry.name} stayed {entry.result} when it was mended: {entry.cause}"
        for entry in mended
        if entry.result != "passed"
    ]
    return Trial(fault.name, broken, mended, complaints)


def forget(platform: Platform) -> None:
    """Drop what was read from the platform before."""
    platform.forget()
    training.trained.cache_clear()


@contextmanager
def changed_access(platform: Platform, variable: str, value: str) -> Iterator[None]:
    """Give every workload another value of one variable."""
    old = platform.access[variable]
    _set_access(platform, variable, value)
    try:
        yield
    finally:
        _set_access(platform, variable, old)


def _set_access(platform: Platform, variable: str, value: str) -> None:
    encoded = base64.b64encode(value.encode()).decode()
    platform.core.patch_namespaced_secret(
        outputs.SECRET_ACCESS, outputs.NAMESPACE_WORKLOADS, {"data": {variable: encoded}}
    )


@contextmanager
def scaled_to_zero(platform: Platform, variable: str) -> Iterator[None]:
    """Take away the pods behind the Service that `access[variable]` points to."""
    service, namespace = client.platform.service_of(client.platform.host_of(platform.access[variable]))
    apps = k8s.AppsV1Api(platform.api)
    selector = platform.core.read_namespaced_service(service, namespace).spec.selector
    owners = [
        (item.metadata.name, item.spec.replicas)
        for item in apps.list_namespaced_deployment(namespace).items
        if selector.items() <= (item.spec.template.metadata.labels or {}).items()
    ]
    if not owners:
        raise LookupError(f"no Deployment is behind service {namespace}/{service}")
    try:
        for name, _ in owners:
            apps.patch_namespaced_deployment(name, namespace, {"spec": {"replicas": 0}})
        _until(lambda: _ready(apps, namespace, owners, lambda ready, _: ready == 0), f"{service} to stop")
        yield
    finally:
        for name, replicas in owners:
            apps.patch_namespaced_deployment(name, namespace, {"spec": {"replicas": replicas}})
        _until(
            lambda: _ready(apps, namespace, owners, lambda ready, wanted: ready == wanted),
            f"{service} to start",
        )


def _ready(
    apps: Any, namespace: str, owners: list[tuple[str, int]], fits: Callable[[int, int], bool]
) -> bool:
    found = [
        (apps.read_namespaced_deployment(name, namespace).status.ready_replicas or 0, wanted)
        for name, wanted in owners
    ]
    return all(fits(ready, wanted) for ready, wanted in found)


def _until(holds: Callable[[], bool], what: str, patience: float = 180) -> None:
    deadline = time.monotonic() + patience
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience:.0f} s for {what}")
        time.sleep(0.5)


@contextmanager
def lost_rows(platform: Platform) -> Iterator[None]:
    """Delete a day of flights, and roll the table back."""
    table = f"iceberg.{ingest.SCHEMA}.flights"
    before = probe.ingest_record(platform)["tables"]["flights"]["snapshot_id"]
    platform.sql(f"DELETE FROM {table} WHERE month = 3 AND day = 14")
    try:
        yield
    finally:
        platform.sql(f"ALTER TABLE {table} EXECUTE rollback_to_snapshot(snapshot_id => {before})")


@contextmanager
def falsified_metric(platform: Platform) -> Iterator[None]:
    """Log another count of hits to the registered run, and then the right one again."""
    found = training.Trained(platform)
    name, right = "test_true_positive", found.evaluation["confusion"]["true_positive"]
    found.mlflow.log_metric(found.version.run_id, name, right + 1)
    try:
        yield
    finally:
        found.mlflow.log_metric(found.version.run_id, name, right)


FAULTS = {
    fault.name: fault
    for fault in (
        Fault(
            "wrong-s3-password",
            lambda platform: changed_access(platform, "AWS_SECRET_ACCESS_KEY", "not-the-key"),
            ("data.the_snapshot_is_recorded", "data.the_files_are_in_the_object_store"),
            ("SignatureDoesNotMatch", "403", "Forbidden", "AccessDenied"),
        ),
        Fault(
            "wrong-trino-password",
            lambda platform: changed_access(platform, "TRINO_PASSWORD", "not-the-password"),
            ("data.every_row_arrived",),
            ("401", "Unauthorized", "Access Denied"),
        ),
        Fault(
            "mlflow-down",
            lambda platform: scaled_to_zero(platform, "MLFLOW_TRACKING_URI"),
            ("training.it_beats_the_base_rate", "training.the_registry_leads_back"),
            ("MLflow does not answer: no pod behind service",),
        ),
        Fault(
            "lost-rows", lost_rows, ("data.every_row_arrived",), ("flights has the source's 336,776 rows",)
        ),
        Fault(
            "falsified-metric",
            falsified_metric,
            ("training.the_confusion_matrix_can_be_recomputed",),
            ("MLflow has the same true_positive",),
        ),
    )
}


def during_training(
    platform: Platform, image: str, hook: Callable[[dict[str, str]], None], deadline: float = 300
) -> dict[str, Any] | ClientError:
    """Start a training, call `hook` with the node of each rank once all run, and say how it ended."""
    name = "train-delay"
    client.deploy(platform, name, workloads.manifest("train_delay", image), wait=False)
    namespace = outputs.NAMESPACE_WORKLOADS

    def running() -> bool:
        pods = client.jobs.pods_of(platform, name, namespace)
        return len(pods) == 2 and all(pod.status.phase == "Running" for pod in pods)

    _until(running, "both ranks to run")
    pods = client.jobs.pods_of(platform, name, namespace)
    hook({client.jobs.key(pod): pod.spec.node_name for pod in pods})
    try:
        found = client.jobs.wait_for_job(platform, name, namespace, deadline, client.Silent())
    except ClientError as error:
        return error
    return found.messages
