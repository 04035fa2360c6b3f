"""Small trainings that proofs start, disturb and compare."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

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
STEPS_AN_EPOCH = (SETTINGS.rows or 0) // SETTINGS.batch
STEPS = SETTINGS.epochs * STEPS_AN_EPOCH


@dataclass
class Outcome:
    """How a training ended that ended well."""

    result: JobResult
    run: Any
    """Its MLflow run."""
    losses: list[tuple[int, float]]
    """Every loss that MLflow has, with its step, by step."""
    log: str
    """What rank 0 printed, in its last attempt."""

    @property
    def weights(self) -> set[str | None]:
        """The hashes of all ranks' weights: one, if they agree; None of a rank that said nothing."""
        return {said.get("own_weights_sha256") for said in self.result.messages.values()}


def objects(
    platform: Platform,
    name: str,
    training: str,
    *,
    ranks: int = 2,
    arguments: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """The small training, in the form that fits the platform; `arguments` come last."""
    changes = [word for change in CHANGES for word in ("--set", change)]
    return workloads.manifest(
        "train_delay",
        probe.workload_image(platform),
        **client.offers(platform),
        name=name,
        config="tiny",
        training=training,
        ranks=ranks,
        arguments=[*changes, *arguments],
    )


def run(
    platform: Platform, name: str, disturb: Callable[[str], None] | None = None, *, ranks: int = 2
) -> Outcome:
    """Train to the end; `disturb` gets the training's id once it is deployed."""
    training = f"{name}-{uuid.uuid4().hex[:8]}"
    manifest = objects(platform, name, training, ranks=ranks)
    try:
        client.deploy(platform, name, manifest, wait=False)
        if disturb:
            disturb(training)
        (job,) = client.jobs.jobs(platform, manifest)
        result = client.jobs.follow(job, 300)
        first = client.pods.of_rank(platform, job.namespace, job.selector, 0)
        log = client.pods.log(platform, first)
    finally:
        client.delete_workloads(platform, name)
        forget(platform, training)
    found = mlflow_run(platform, training)
    return Outcome(result, found, series(platform, found, "loss"), log)


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


def series(platform: Platform, run: Any, name: str) -> list[tuple[int, float]]:
    """Every value of a metric of an MLflow run, with its step, by step."""
    history = platform.mlflow().get_metric_history(run.info.run_id, name)
    return sorted((entry.step, entry.value) for entry in history)


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


def reached(platform: Platform, training: str, step: int, patience: float = 120, store: Any = None) -> None:
    """Wait until a checkpoint of this step, or a later one, is there."""
    store, deadline = store or platform.s3(), time.monotonic() + patience
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
    """SIGKILL for a rank's process: taking its pod away takes longer than the rest of the training."""
    client.pods.execute(platform, pod_of(platform, name, rank), client.pods.KILL)


def pod_of(platform: Platform, name: str, rank: int) -> Any:
    """The pod of a rank of a TrainJob."""
    selector = f"{client.jobs.PODS_OF['TrainJob']}={name}"
    return client.pods.of_rank(platform, outputs.NAMESPACE_WORKLOADS, selector, rank)


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
