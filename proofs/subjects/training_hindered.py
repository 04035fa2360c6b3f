"""A training that is hindered from outside says so: by a slow rank, by an object store without room."""

import statistics
import threading
import time
import uuid
from typing import Any

import client
from client import Platform
from proofs import trainings
from proofs.run import Check, proof
from proofs.small_store import SmallStore, small_store
from workloads.common import digest

SLOWED = 1
"""The rank that is made slow."""
SLOW = """
import os, signal, time
while True:
    os.kill(-1, signal.SIGSTOP)
    time.sleep(0.006)
    os.kill(-1, signal.SIGCONT)
    time.sleep(0.001)
"""
"""Run in a container it stops all others there for most of the time, until there is none."""
SLOWED_FROM = 8
"""Step."""
FOR_CHECKPOINTS = 3 << 20
"""Bytes: a tenth of what all checkpoints of the small training take, when none is dropped."""


@proof("training", needs=["training.a_training_runs_now"])
def a_slow_rank_is_named(platform: Platform, check: Check) -> None:
    """A rank whose process is stopped most of the time: log and MLflow name it, and it learns the same."""
    trainings.require_part(platform, check)
    slow_since: list[int] = []

    def disturb(training: str) -> None:
        trainings.reached(platform, training, SLOWED_FROM)
        pod = trainings.pod_of(platform, "probe-straggler", SLOWED)
        threading.Thread(target=slow_down, args=(platform, pod), name="slow rank", daemon=True).start()
        time.sleep(1)
        slow_since.append(trainings.kept(platform, training)[0]["step"] // trainings.STEPS_AN_EPOCH + 1)

    found = trainings.run(platform, "probe-straggler", disturb)
    ranks = trainings.series(platform, found.run, "slowest_rank")
    times = trainings.series(platform, found.run, "times_the_fastest")
    epochs = list(range(trainings.SETTINGS.epochs))
    check.equal([epoch for epoch, _ in ranks], epochs, "MLflow has the slowest rank of each epoch once")
    check.equal([epoch for epoch, _ in times], epochs, "and how slow it was")
    (since,) = slow_since
    named = [rank for epoch, rank in ranks if epoch >= since]
    check(len(named) >= 3, "the rank was slow for some epochs", since=since)
    share = named.count(SLOWED) / len(named)
    check(share >= 0.9, "from then on MLflow names it", named=named)
    slower = statistics.median(value for epoch, value in times if epoch >= since)
    check(slower >= 2, "and says that it takes more than twice the fastest's time", times=slower)
    told = [line for line in found.log.splitlines() if f"slowest rank rank={SLOWED} " in line]
    check(len(told) >= 0.9 * len(named), "the log names it too", lines=len(told))
    check.equal(
        found.weights,
        trainings.whole(platform).weights,
        "its weights are those of an undisturbed training, bit by bit",
    )
    check.attach("times_the_fastest", [value for _, value in times])


def slow_down(platform: Platform, pod: Any) -> None:
    """Until the training ends, and the container with it."""
    try:
        client.pods.execute(platform, pod, ["python3", "-c", SLOW])
    except Exception:
        return  # The container went while the command ran; the proof sees what came of it.


@proof("training", needs=["training.a_training_runs_now"])
def a_full_object_store_is_named_and_loses_nothing(platform: Platform, check: Check) -> None:
    """There is no room for checkpoints: the training fails and says why, and goes on when there is room."""
    trainings.require_part(platform, check)
    name = "probe-full"
    training = f"{name}-{uuid.uuid4().hex[:8]}"
    with small_store(platform, check) as store:
        store.fill()
        store.make_room(FOR_CHECKPOINTS)
        try:
            said, conditions = fails_without_room(platform, store, name, training)
            check(
                said.count("No space left on device") >= 2, "each pod says that there is no room", said=said
            )
            check("Failed" in conditions, "the TrainJob is Failed", conditions=conditions)
            run = trainings.mlflow_run(platform, training)
            check.equal(run.info.status, "FAILED", "its MLflow run is FAILED")
            cause = run.data.tags.get("last_failure", "")
            check("No space left on device" in cause, "its MLflow run names the cause", cause=cause)
            newest = trainings.kept(platform, training, store.s3)[0]
            body = store.s3.get_object(Bucket=store.bucket, Key=newest["key"])["Body"].read()
            check.equal(digest(body), newest["sha256"], "the last checkpoint that found room is whole")
            check(
                0 < newest["step"] < trainings.STEPS,
                "there was room for some, and not for all",
                step=newest["step"],
            )
            store.make_room()
            manifest = sent_to(store, trainings.objects(platform, name, training))
            result = client.deploy(platform, name, manifest, deadline=300)[name]
        finally:
            client.delete_workloads(platform, name)
    resumed = {said.get("resumed_at") for said in result.messages.values()}
    check.equal(resumed, {newest["step"]}, "with room again all ranks went on from there")
    run, whole = trainings.mlflow_run(platform, training), trainings.whole(platform)
    weights = {said.get("own_weights_sha256") for said in result.messages.values()}
    check.equal(weights, whole.weights, "the weights are those of an undisturbed training, bit by bit")
    losses = trainings.series(platform, run, "loss")
    check.equal(losses, whole.losses, "MLflow has each loss of an undisturbed training once")
    check.equal(run.info.status, "FINISHED", "the same MLflow run is finished")


def sent_to(store: SmallStore, manifest: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The training, with another object store in its environment."""
    for item in manifest:
        for entry in item["spec"]["trainer"]["env"]:
            if entry["name"] == "AWS_ENDPOINT_URL":
                entry.pop("valueFrom")
                entry["value"] = store.url
    return manifest


def fails_without_room(
    platform: Platform, store: SmallStore, name: str, training: str
) -> tuple[str, dict[str, str]]:
    """Keep every checkpoint until there is no room for another: what the client says, the conditions of the
    job.
    """
    every = ["--set", f"checkpoints_kept={trainings.STEPS}"]
    manifest = sent_to(store, trainings.objects(platform, name, training, arguments=every))
    return trainings.failure(platform, name, manifest)
