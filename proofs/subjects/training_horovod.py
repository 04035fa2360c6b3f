"""Horovod by MPIJobs: the same training with other ranks, which may also come and go."""

import random
from typing import Any

from client import Platform
from proofs import trainings
from proofs.run import Check, proof
from workloads.train_delay import config

HOROVOD = "train_delay_horovod"
EPOCHS = 25
"""Of the elastic training: as many steps as the tolerance is stated for."""
ELASTIC_STEPS = EPOCHS * (trainings.SETTINGS.rows or 0) // trainings.SETTINGS.batch
KILL_AT = random.Random(trainings.SETTINGS.seed).randrange(4, ELASTIC_STEPS // 8)
"""Soon: the rest of the training must take longer than the kill takes to land."""


def of_rank_0(found: trainings.Outcome) -> dict[str, Any]:
    """What rank 0 said of its end, which the launcher's pod keeps."""
    return next((said for said in found.result.messages.values() if "run_id" in said), {})


@proof("training", needs=["training.a_training_runs_now"])
def horovod_learns_what_ddp_learns(platform: Platform, check: Check) -> None:
    """Two ranks on two nodes, started by mpirun: each loss and the weights are those of DDP, bit by bit."""
    trainings.require_part(platform, check)
    ddp, found = trainings.whole(platform), trainings.run(platform, "probe-horovod", workload=HOROVOD)
    said = of_rank_0(found)
    check.equal(len(said.get("weights_sha256", [])), 2, "two ranks gave their weights")
    check.equal(len(set(said.get("nodes", []))), 2, "they ran on two nodes")
    check.equal({*said["weights_sha256"]}, ddp.weights, "their weights are those of DDP, bit by bit")
    check.equal(found.losses, ddp.losses, "each loss is that of DDP, bit by bit")
    check.equal(found.run.info.status, "FINISHED", "its MLflow run is finished")


@proof("training", needs=["training.horovod_learns_what_ddp_learns"])
def elastic_horovod_goes_on_without_a_lost_worker(platform: Platform, check: Check) -> None:
    """A worker is killed at a step drawn by lot: the other goes on and learns what two would have."""
    trainings.require_part(platform, check)

    def disturb(training: str) -> None:
        trainings.reached(platform, training, KILL_AT)
        trainings.kill_processes(platform, "probe-elastic-worker-1")

    changes = ["--set", f"epochs={EPOCHS}", "--set", "checkpoint_every=1"]
    found = trainings.run(
        platform, "probe-elastic", disturb, workload=HOROVOD, elastic=True, arguments=changes
    )
    at = of_rank_0(found).get("resumed_at")
    check(
        at is not None and KILL_AT <= at < ELASTIC_STEPS, "it went on at a checkpoint before the end", at=at
    )
    failures = [said["error"] for said in found.result.messages.values() if "error" in said]
    check.equal(failures, [], "its launcher ran on")
    check(int(found.run.data.tags["restarts"]) >= 1, "its run says that it was taken up again")
    check.equal(
        [step for step, _ in found.losses],
        list(range(ELASTIC_STEPS)),
        "MLflow has the loss of each step once",
    )
    furthest = trainings.furthest(found.losses, trainings.whole(platform).losses[:ELASTIC_STEPS])
    check(
        furthest <= config.WORLD_TOLERANCE,
        f"none of them differs by more than {config.WORLD_TOLERANCE:g} of itself",
        furthest=furthest,
    )
    check.equal(found.run.info.status, "FINISHED", "its MLflow run is finished")
