"""Small trainings that proofs start, disturb and compare."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from kubernetes import client as k8s
from kubernetes.stream import stream

import client
import workloads
from client import ClientError, Platform, outputs
from client.jobs import JobResult
from proofs import probe
from proofs.run import Check
from workloads import checkpoints
from workloads.settings import changed
from workloads.train_delay import config

CHANGES = ("epochs=60", "log_every=1", "checkpoint_every=2")
"""So many checkpoints that a kill lands among them: it takes a second, a step some milliseconds."""
SETTINGS = changed(config.tiny(), CHANGES)
STEPS = SETTINGS.epochs * (SETTINGS.rows or 0) // SETTINGS.batch


@dataclass
class Outcome:
    """How a training ended that ended well."""

    result: JobResult
    run: Any
    """Its MLflow run."""
    losses: list[tuple[int, float]]
    """Every loss that MLflow has, with its step, by step."""

    @property
    def weights(self) -> set[str | None]:
        """The hashes of all ranks' weights: one, if they agree; None of a rank that said nothing."""
        return {said.get("own_weights_sha256") for said in self.result.messages.values()}


def objects(
    platform: Platform,
    name: str,
    training: str,
    *,
    workload: str = "train_delay",
    arguments: Sequence[str] = (),
    **options: Any,
) -> list[dict[str, Any]]:
    """The small training, in the form that fits the platform; `arguments` come last, `options` are the
    workload's own.
    """
    changes = [word for change in CHANGES for word in ("--set", change)]
    return workloads.manifest(
        workload,
        probe.workload_image(platform),
        served=client.served_kinds(platform.api),
        name=name,
        config="tiny",
        training=training,
        **options,
        arguments=[*changes, *arguments],
    )


def run(
    platform: Platform, name: str, disturb: Callable[[str], None] | None = None, **options: Any
) -> Outcome:
    """Train to the end; `disturb` gets the training's id once it is deployed, `options` are those of
    `objects`.
    """
    training = f"{name}-{uuid.uuid4().hex[:8]}"
    manifest = objects(platform, name, training, **options)
    try:
        client.deploy(platform, name, manifest, wait=False)
        if disturb:
            disturb(training)
        (job,) = client.jobs.jobs(platform, manifest)
        result = client.jobs.follow(job, 300)
    finally:
        client.delete_workloads(platform, name)
        forget(platform, training)
    mlflow, found = platform.mlflow(), mlflow_run(platform, training)
    history = mlflow.get_metric_history(found.info.run_id, "loss")
    return Outcome(result, found, sorted((entry.step, entry.value) for entry in history))


@lru_cache(maxsize=1)
def whole(platform: Platform) -> Outcome:
    """A training that nobody disturbs."""
    return run(platform, "probe-training")


def fail(platform: Platform, name: str, *arguments: str) -> tuple[str, dict[str, str], Any]:
    """A training that must fail: what the client says, the conditions of its job, its MLflow run."""
    training = f"{name}-{uuid.uuid4().hex[:8]}"
    manifest = objects(platform, name, training, arguments=arguments)
    said = "it did not fail"
    try:
        client.deploy(platform, name, manifest, deadline=300)
    except ClientError as error:
        said = str(error)
    (job,) = client.jobs.jobs(platform, manifest)
    conditions = client.jobs.conditions_of(job.read())
    client.delete_workloads(platform, name)
    forget(platform, training)
    return said, conditions, mlflow_run(platform, training)


def mlflow_run(platform: Platform, training: str) -> Any:
    """The run of a training; None where it began none."""
    mlflow = platform.mlflow()
    experiment = mlflow.get_experiment_by_name(SETTINGS.experiment)
    found = mlflow.search_runs([experiment.experiment_id], f"tags.training = '{training}'")
    return found[0] if found else None


def require_part(platform: Platform, check: Check) -> None:
    """Skip where nothing makes a lost rank anew."""
    if "TrainJob" not in client.served_kinds(platform.api):
        check.skip("the part training is not provisioned (seatrial up --parts core,training)")


# --- checkpoints, seen from outside ---------------------------------------------------------------------


def kept(platform: Platform, training: str, store: Any = None) -> list[dict[str, Any]]:
    """The checkpoints that the pointer names, the newest first."""
    key = f"{checkpoints.FOLDER}/{training}/{checkpoints.POINTER}"
    try:
        answer = (store or platform.s3()).get_object(Bucket=platform.access["S3_BUCKET"], Key=key)
        found: list[dict[str, Any]] = json.loads(answer["Body"].read())["kept"]
    except Exception as error:
        if checkpoints.code_of(error) == "NoSuchKey":
            return []
        raise
    return found


def reached(platform: Platform, training: str, step: int, patience: float = 120) -> None:
    """Wait until a checkpoint of this step, or a later one, is there."""
    store, deadline = platform.s3(), time.monotonic() + patience
    while not (there := kept(platform, training, store)) or there[0]["step"] < step:
        if time.monotonic() > deadline:
            raise TimeoutError(f"training {training} had no checkpoint of step {step} after {patience:.0f} s")
        time.sleep(0.02)


def damage(platform: Platform, key: str) -> None:
    """Change one bit of an object."""
    store, bucket = platform.s3(), platform.access["S3_BUCKET"]
    body = bytearray(store.get_object(Bucket=bucket, Key=key)["Body"].read())
    body[len(body) // 2] ^= 1
    store.put_object(Bucket=bucket, Key=key, Body=bytes(body))


def forget(platform: Platform, training: str) -> None:
    """Delete the training's checkpoints."""
    store, bucket = platform.s3(), platform.access["S3_BUCKET"]
    listed = store.list_objects_v2(Bucket=bucket, Prefix=f"{checkpoints.FOLDER}/{training}/")
    for entry in listed.get("Contents", []):
        store.delete_object(Bucket=bucket, Key=entry["Key"])


def kill(platform: Platform, name: str, rank: int) -> None:
    """SIGKILL for the process of a TrainJob's rank."""
    pods = platform.core.list_namespaced_pod(
        outputs.NAMESPACE_WORKLOADS,
        label_selector=f"{client.jobs.PODS_OF['TrainJob']}={name},{client.pods.INDEX_LABEL}={rank}",
    )
    (pod,) = pods.items
    kill_processes(platform, pod.metadata.name)


def kill_processes(platform: Platform, pod: str) -> None:
    """SIGKILL for what runs in a pod, at once: taking it away takes longer than the rest of the training.

    Process 1 of the container (torchrun, sshd) is one that nothing inside can kill.
    """
    # A client of its own: `stream` changes the one that it is given while it connects.
    core = k8s.CoreV1Api(k8s.ApiClient(platform.api.configuration))
    command = ["sh", "-c", "kill -9 -1"]
    stream(
        core.connect_get_namespaced_pod_exec, pod, outputs.NAMESPACE_WORKLOADS,
        command=command, stdout=True, stderr=True,
    )  # fmt: skip


# --- comparing ------------------------------------------------------------------------------------------


def furthest(ours: Sequence[tuple[int, float]], others: Sequence[tuple[int, float]]) -> float:
    """By how much the losses of a step differ at most, relative to them; infinite where the steps differ."""
    if [step for step, _ in ours] != [step for step, _ in others]:
        return float("inf")
    return max(
        (
            abs(ours - theirs) / max(abs(ours), abs(theirs))
            for (_, ours), (_, theirs) in zip(ours, others, strict=True)
        ),
        default=float("inf"),
    )
