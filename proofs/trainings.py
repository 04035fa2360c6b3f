"""Small trainings that proofs start, disturb and compare."""

import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from kubernetes import client as k8s

import client
import workloads
from client import ClientError, Platform, outputs
from client.jobs import Handle, JobResult
from client.waiting import until
from proofs import probe
from proofs.run import Check
from workloads import checkpoints
from workloads.settings import changed
from workloads.train_delay import config

CHANGES = ("epochs=60", "log_every=1", "checkpoint_every=2")
"""So many checkpoints that a kill lands among them: it takes a second, a step some milliseconds."""
SETTINGS = changed(config.tiny(), CHANGES)
_KILL_AT = """
import json, os, signal, sys, time
from workloads import common
store, bucket, (key, step) = common.s3(), common.env("S3_BUCKET"), sys.argv[1:]
def newest():
    try:
        return json.loads(store.get_object(Bucket=bucket, Key=key)["Body"].read())["kept"][0]["step"]
    except store.exceptions.NoSuchKey:
        return -1
while newest() < int(step):
    time.sleep(0.02)
os.kill(-1, signal.SIGKILL)
"""
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
    workload: str = "train_delay",
    changes: Sequence[str] = CHANGES,
    arguments: Sequence[str] = (),
    **options: Any,
) -> list[dict[str, Any]]:
    """The small training, in the form that fits the platform; `arguments` come last, `options` are the
    workload's own.
    """
    settings = [word for change in changes for word in ("--set", change)]
    return workloads.manifest(
        workload,
        probe.workload_image(platform),
        **client.offers(platform),
        name=name,
        training=training,
        **{"config": "tiny", **options},
        arguments=[*settings, *arguments],
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
        log = log_of_rank_0(platform, job) if job.kind.kind == "TrainJob" else ""
    finally:
        client.delete_workloads(platform, name)
        forget(platform, training)
    found = mlflow_run(platform, training)
    return Outcome(result, found, series(platform, found, "loss"), log)


def log_of_rank_0(platform: Platform, job: Handle) -> str:
    """What its pod printed since the job's last restart."""
    return client.pods.log(platform, client.pods.of_rank(platform, job.namespace, job.selector, 0))


@cache
def whole(platform: Platform, name: str = "probe-training", workload: str = "train_delay") -> Outcome:
    """A training that nobody disturbs."""
    return run(platform, name, workload=workload)


def fail(
    platform: Platform, name: str, *arguments: str, workload: str = "train_delay"
) -> tuple[str, dict[str, str], Any]:
    """A training that must fail: what the client says, the conditions of its job, its MLflow run."""
    training = f"{name}-{uuid.uuid4().hex[:8]}"
    manifest = objects(platform, name, training, workload=workload, arguments=arguments)
    try:
        said, conditions = failure(platform, name, manifest)
    finally:
        client.delete_workloads(platform, name)
        forget(platform, training)
    return said, conditions, mlflow_run(platform, training)


def failure(
    platform: Platform,
    name: str,
    manifest: list[dict[str, Any]],
    disturb: Callable[[], None] = lambda: None,
) -> tuple[str, dict[str, str]]:
    """Run the manifest's job, which must fail: what the client says, and the job's conditions. `disturb` is
    called once the job is deployed.
    """
    client.deploy(platform, name, manifest, wait=False)
    disturb()
    (job,) = client.jobs.jobs(platform, manifest)
    said = "it did not fail"
    try:
        client.jobs.follow(job, 300)
    except ClientError as error:
        said = str(error)
    return said, client.jobs.conditions_of(job.read())


def mlflow_runs(platform: Platform, training: str) -> list[Any]:
    """The runs of a training, in whatever experiment; one, unless it was begun twice."""
    mlflow = platform.mlflow()
    everywhere = [each.experiment_id for each in mlflow.search_experiments()]
    return list(mlflow.search_runs(everywhere, f"tags.training = '{training}'"))


def mlflow_run(platform: Platform, training: str) -> Any:
    """The run of a training; None where it began none."""
    return next(iter(mlflow_runs(platform, training)), None)


def series(platform: Platform, run: Any, name: str) -> list[tuple[int, float]]:
    """Every value of a metric of an MLflow run, with its step, by step."""
    history = platform.mlflow().get_metric_history(run.info.run_id, name)
    return sorted((entry.step, entry.value) for entry in history)


def require_part(platform: Platform, check: Check) -> None:
    """Skip where nothing makes a lost rank anew."""
    if "TrainJob" not in client.served_kinds(platform.api):
        check.skip("the part training is not provisioned (seatrial up --with training)")


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
    store = platform.s3()

    def there() -> bool:
        newest = kept(platform, training, store)[:1]
        return any(each["step"] >= step for each in newest)

    until(there, f"a checkpoint of step {step} of training {training}", patience, every=0.02)


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


def is_ready(platform: Platform, pod: str) -> bool:
    """Whether the pod of this name is there and ready."""
    try:
        found = platform.core.read_namespaced_pod(pod, outputs.NAMESPACE_WORKLOADS)
    except k8s.ApiException as error:
        if error.status != 404:
            raise
        return False
    return client.pods.ready(found)


def kill_processes(platform: Platform, pod: str, at: tuple[str, int]) -> None:
    """SIGKILL for what runs in a pod of this name, once the training `at[0]` has a checkpoint of step `at[1]`
    or a later one; the pod has the platform's access.
    """
    training, step = at
    key = f"{checkpoints.FOLDER}/{training}/{checkpoints.POINTER}"
    found = platform.core.read_namespaced_pod(pod, outputs.NAMESPACE_WORKLOADS)
    client.pods.execute(platform, found, ["python3", "-c", _KILL_AT, key, str(step)])


def pod_of(platform: Platform, name: str, rank: int) -> Any:
    """The pod of a rank of a TrainJob."""
    selector = f"{client.jobs.PODS_OF['TrainJob']}={name}"
    return client.pods.of_rank(platform, outputs.NAMESPACE_WORKLOADS, selector, rank)


# --- judging -----------------------------------------------------------------------------------------------


def ends_like(check: Check, found: Outcome, whole: Outcome) -> None:
    """A training that lost a rank ended as the one that did not."""
    check(found.result.restarts >= 1, "its pods were made anew", restarts=found.result.restarts)
    check.equal(
        found.weights, whole.weights, "its weights are those of an uninterrupted training, bit by bit"
    )
    steps = [step for step, _ in found.losses]
    check.equal(steps, list(range(STEPS)), "MLflow has the loss of each step once")
    check.equal(found.losses, whole.losses, "each loss is that of the uninterrupted training, bit by bit")
    check.equal(found.run.info.status, "FINISHED", "its one MLflow run is finished")
    check(int(found.run.data.tags["restarts"]) >= 1, "its run says that it was taken up again")


def went_on_after(check: Check, found: Outcome, step: int) -> None:
    """All ranks took up the same checkpoint, not before this step."""
    resumed = {said.get("resumed_at", -1) for said in found.result.messages.values()}
    check(
        len(resumed) == 1 and step <= max(resumed) < STEPS,
        "all ranks went on at one checkpoint before the end",
        at=resumed,
    )


def fails_for(
    platform: Platform, check: Check, name: str, cause: str, *arguments: str, workload: str = "train_delay"
) -> None:
    """A training fails at once, and everybody says why."""
    said, conditions, run = fail(platform, name, *arguments, workload=workload)
    check(said.count(cause) >= 2, f"each pod says: {cause}", said=said)
    check("Failed" in conditions, "the TrainJob is Failed", conditions=conditions)
    check("restarts" not in said.splitlines()[0], "it was not tried again in vain", said=said)
    check(run is not None and run.info.status == "FAILED", "its MLflow run is FAILED", run=run and run.info)


def near(check: Check, ours: Outcome, others: Outcome) -> None:
    """With the same rows in each step, two trainings differ by rounding alone, while that is small."""
    among = slice(config.WORLD_STEPS)
    check(len(ours.losses) >= config.WORLD_STEPS, f"there are losses of {config.WORLD_STEPS} steps")
    apart = furthest(ours.losses[among], others.losses[among])
    check(
        apart <= config.WORLD_TOLERANCE,
        f"none of them differs by more than {config.WORLD_TOLERANCE:g} of itself",
        furthest=apart,
    )


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
