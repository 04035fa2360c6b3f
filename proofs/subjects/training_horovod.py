"""Horovod by MPIJobs: the same training with other ranks, which may also come and go."""

import random
import statistics
import uuid
from typing import Any

import client
from client import Platform
from client.waiting import until
from proofs import trainings
from proofs.run import Check, proof
from workloads.train_delay import config

HOROVOD = "train_delay_horovod"
KILL_AT = random.Random(trainings.SETTINGS.seed).randrange(4, trainings.STEPS // 16)
"""Soon: the rest of the training must take longer than the kill takes to land."""
EPOCH = trainings.STEPS // trainings.SETTINGS.epochs
"""Steps."""
END_TOLERANCE = 0.02
"""By how much the mean loss of the last epoch may differ, relative to it: by then the rounding of a step has
grown (config.WORLD_STEPS; seen: 6e-3 for a single step)."""


def of_rank_0(found: trainings.Outcome) -> dict[str, Any]:
    """What rank 0 said of its end, which the launcher's pod keeps."""
    return next((said for said in found.result.messages.values() if "run_id" in said), {})


def failures_of(found: trainings.Outcome) -> list[str]:
    """Why launchers ended that were made anew."""
    return [said["error"] for said in found.result.messages.values() if "error" in said]


def lose_worker_1(platform: Platform, name: str, training: str) -> None:
    """Kill all that runs for a training in one of its workers, at the step drawn by lot.

    The worker looks for the step itself: under mpirun the rest of the training may be over before a command
    that is sent then has begun.
    """
    worker = f"{name}-worker-1"
    until(lambda: trainings.is_ready(platform, worker), f"pod {worker} to be ready")
    trainings.kill_processes(platform, worker, at=(training, KILL_AT))


@proof("training", needs=["training.a_training_runs_now"])
def horovod_learns_what_ddp_learns(platform: Platform, check: Check) -> None:
    """Two ranks on two nodes, started by mpirun: each loss and the weights are those of DDP, bit by bit."""
    trainings.require_part(platform, check)
    ddp, found = trainings.whole(platform), trainings.run(platform, "probe-horovod", workload=HOROVOD)
    check.equal(failures_of(found), [], "its launcher found the workers at the first attempt")
    said = of_rank_0(found)
    check.equal(len(said.get("weights_sha256", [])), 2, "two ranks gave their weights")
    check.equal(len(set(said.get("nodes", []))), 2, "they ran on two nodes")
    check.equal({*said["weights_sha256"]}, ddp.weights, "their weights are those of DDP, bit by bit")
    check.equal(found.losses, ddp.losses, "each loss is that of DDP, bit by bit")
    check.equal(found.run.info.status, "FINISHED", "its MLflow run is finished")


@proof("training", needs=["training.horovod_learns_what_ddp_learns"])
def killed_horovod_ends_like_an_uninterrupted_one(platform: Platform, check: Check) -> None:
    """A worker is killed at a step drawn by lot: mpirun ends, the launcher is made anew, nobody sees it."""
    trainings.require_part(platform, check)
    name, whole = "probe-horovod-killed", trainings.whole(platform)
    found = trainings.run(
        platform, name, lambda training: lose_worker_1(platform, name, training), workload=HOROVOD
    )
    failures, said = failures_of(found), of_rank_0(found)
    check(len(failures) == 1 and "mpirun ended" in failures[0], "one launcher failed", said=failures)
    at = said.get("resumed_at")
    check(at is not None and KILL_AT <= at < trainings.STEPS, "the next went on at a checkpoint", at=at)
    check.equal(
        {*said["weights_sha256"]}, whole.weights, "the weights are those of DDP undisturbed, bit by bit"
    )
    check.equal(found.losses, whole.losses, "MLflow has each loss of DDP undisturbed once, bit by bit")
    check.equal(found.run.info.status, "FINISHED", "its one MLflow run is finished")
    check(int(found.run.data.tags["restarts"]) >= 1, "its run says that it was taken up again")


@proof("training", needs=["training.horovod_learns_what_ddp_learns"])
def horovod_that_is_lost_for_good_says_so(platform: Platform, check: Check) -> None:
    """A worker is killed and no launcher is made anew: the launcher's pod, the MPIJob and MLflow say so."""
    trainings.require_part(platform, check)
    name, cause = "probe-horovod-lost", "mpirun ended"
    training = f"{name}-{uuid.uuid4().hex[:8]}"
    manifest = trainings.objects(platform, name, training, workload=HOROVOD)
    manifest[0]["spec"]["runPolicy"]["backoffLimit"] = 0
    try:
        said, conditions = trainings.failure(
            platform, name, manifest, lambda: lose_worker_1(platform, name, training)
        )
    finally:
        client.delete_workloads(platform, name)
        trainings.forget(platform, training)
    check(f"cause: {cause}" in said, "the launcher's pod says that mpirun ended before its ranks", said=said)
    check("Failed" in conditions, "the MPIJob is Failed", conditions=conditions)
    run = trainings.mlflow_run(platform, training)
    check(run is not None and run.info.status == "FAILED", "its MLflow run is FAILED", run=run and run.info)
    check(cause in run.data.tags.get("last_failure", ""), "and names the cause", tags=run.data.tags)


@proof("training", needs=["training.horovod_learns_what_ddp_learns"])
def elastic_horovod_goes_on_without_a_lost_worker(platform: Platform, check: Check) -> None:
    """A worker is killed at a step drawn by lot: the other goes on and learns what two would have."""
    trainings.require_part(platform, check)
    name, whole = "probe-elastic", trainings.whole(platform)
    found = trainings.run(
        platform, name, lambda training: lose_worker_1(platform, name, training),
        workload=HOROVOD, elastic=True,
    )  # fmt: skip
    at = of_rank_0(found).get("resumed_at")
    check(at is not None and KILL_AT <= at < trainings.STEPS, "it went on at a checkpoint", at=at)
    check.equal(failures_of(found), [], "its launcher ran on")
    check(int(found.run.data.tags["restarts"]) >= 1, "its run says that it was taken up again")
    steps = [step for step, _ in found.losses]
    check.equal(steps, list(range(trainings.STEPS)), "MLflow has the loss of each step once")
    among = slice(config.WORLD_STEPS)
    furthest = trainings.furthest(found.losses[among], whole.losses[among])
    check(
        furthest <= config.WORLD_TOLERANCE,
        f"none of the first {config.WORLD_STEPS} differs by more than {config.WORLD_TOLERANCE:g} of itself",
        furthest=furthest,
    )
    ours, theirs = (statistics.fmean(loss for _, loss in each.losses[-EPOCH:]) for each in (found, whole))
    check(
        abs(ours - theirs) <= END_TOLERANCE * theirs,
        f"that of the last epoch differs by at most {END_TOLERANCE:.0%}",
        ours=ours,
        theirs=theirs,
    )
    check.equal(found.run.info.status, "FINISHED", "its MLflow run is finished")
