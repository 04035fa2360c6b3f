"""Train the delay classifier with PyTorch DDP (gloo), one process a pod, and log everything that says where
it came from.

Every rank reads the same Iceberg snapshot from the object store and takes its share of each step's rows.
Rank 0 also talks to Trino and MLflow and keeps the checkpoints; what fails there is told to the others, so
that each pod's termination message names the cause.

`torchrun` starts it; what is done is the same for any `Group` of ranks. TRAINING_ID names the training: one
that is started again under its id goes on from its last checkpoint and ends with the weights, bit by bit, of
one that was never stopped.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from workloads.beginning import Beginning
from workloads.train_delay import config
from workloads.train_delay import work as shared
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.group import Ddp, Group
from workloads.train_delay.tracking import Run
from workloads.train_delay.training import Learner


def work(settings: TrainDelay, snapshot: int | None, group: Group, beginning: Beginning) -> dict[str, Any]:
    """What each rank does from start to end."""
    return shared.work(
        settings, snapshot, group, beginning, learner_of=Learner, run_of=Run, array=torch.from_numpy
    )


def with_ddp(settings: TrainDelay, snapshot: int | None) -> dict[str, Any]:
    beginning, group = Beginning(), Ddp()
    beginning.mark("meet")
    result = work(settings, snapshot, group, beginning)
    dist.destroy_process_group()
    return result


def main(train: Callable[[TrainDelay, int | None], dict[str, Any]], about: str | None) -> None:
    """Train with the settings and the snapshot that the command line names."""
    shared.command(train, config, about)


if __name__ == "__main__":
    main(with_ddp, __doc__)
