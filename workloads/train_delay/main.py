"""Train the delay classifier with PyTorch DDP (gloo), one process a pod, and log everything that says where
it came from.

Every rank reads the same Iceberg snapshot from the object store and takes its share of each step's rows.
Rank 0 also talks to Trino and MLflow and keeps the checkpoints; what fails there is told to the others, so
that each pod's termination message names the cause.

`torchrun` starts it; what is done is the same for any `Group` of ranks. TRAINING_ID names the training: one
that is started again under its id goes on from its last checkpoint and ends with the weights, bit by bit, of
one that was never stopped.
"""

import argparse
import os
import re
import socket
import time
import uuid
from collections.abc import Callable
from dataclasses import asdict
from functools import lru_cache
from typing import Any

import torch.distributed as dist

from workloads import common
from workloads.checkpoints import Checkpoints
from workloads.common import HopelessError, WorkloadError, log
from workloads.settings import changed
from workloads.train_delay import config
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.data import Content, Data, Source, locate, read, split
from workloads.train_delay.features import Preprocessing
from workloads.train_delay.group import Ddp, Group
from workloads.train_delay.model import weights_hash
from workloads.train_delay.tracking import Run
from workloads.train_delay.training import Learner, train


def work(settings: TrainDelay, snapshot: int | None, group: Group) -> dict[str, Any]:
    """What each rank does from start to end."""
    began = time.monotonic()
    common.seed_everything(settings.seed)
    training: str = group.on_rank_0(training_id)
    checkpoints = Checkpoints(common.s3(), common.env("S3_BUCKET"), training, keep=settings.checkpoints_kept)
    source, state = group.on_rank_0(lambda: take_up(settings, snapshot, checkpoints))
    runs: list[Run] = []
    group.on_rank_0(lambda: runs.append(Run(settings, source.content, training, group.size)))
    try:
        preprocessing, data = prepared(settings, source)
        told = {name: len(part.labels) for name, part in data.items()}
        log("read", seconds=round(time.monotonic() - began, 1), training=training, **told)
        learner = Learner(settings, preprocessing, data["train"], group)
        learn(learner, data["validation"], state, runs, checkpoints)
        hashes = equal_weights(learner)
        nodes = group.gather(os.environ.get("NODE_NAME", socket.gethostname()))
        network = learner.network.cpu()
        result = group.on_rank_0(lambda: runs[0].finish(network, preprocessing, data["test"], hashes))
    except BaseException:
        for run in runs:
            run.fail()
        raise
    return {**result, "training": training, "rank": group.rank, "resumed_at": state and state[0],
            "own_weights_sha256": hashes[group.rank], "nodes": nodes,
            "seconds": round(time.monotonic() - began, 1)}  # fmt: skip


@lru_cache(maxsize=1)
def prepared(settings: TrainDelay, source: Source) -> tuple[Preprocessing, dict[str, Data]]:
    """The data, read once, however often this process begins."""
    return split(settings, read(settings, source))


def training_id() -> str:
    """The id that was given, or a new one."""
    given = os.environ.get("TRAINING_ID") or f"by-hand-{uuid.uuid4().hex[:8]}"
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", given):
        raise HopelessError(f"TRAINING_ID '{given}' is no id; one is like train-delay-3f2a91c0")
    return given


def take_up(
    settings: TrainDelay, snapshot: int | None, checkpoints: Checkpoints
) -> tuple[Source, tuple[int, bytes] | None]:
    """Which data, and the state to go on from; data that was loaded meanwhile is not for this training."""
    begun = checkpoints.origin()
    source = locate(settings, snapshot, Content.of(begun) if begun else None)
    return source, checkpoints.load({**settings.identity(), **asdict(source.content)})


def learn(
    learner: Learner,
    validation: Data,
    state: tuple[int, bytes] | None,
    runs: list[Run],
    checkpoints: Checkpoints,
) -> None:
    """Train from `state`, or from the start; `runs` is empty on all ranks but 0."""
    if state:
        learner.restore(state[1])
        log("resumed", step=state[0], epoch=learner.epoch)

    def tell() -> None:
        for run in runs:
            run.tell(learner)

    def put() -> None:
        # MLflow may be behind: the state holds the losses too, and what the run lacks is told when the
        # training is taken up.
        runs[0].check()
        checkpoints.save(learner.total, learner.state())

    def keep() -> None:
        learner.group.on_rank_0(put)
        log("checkpoint", step=learner.total)
        learner.group.kept()

    with learner.group.peers():
        train(learner, validation, tell, keep)


def equal_weights(learner: Learner) -> list[str]:
    """The hash of each rank's weights."""
    hashes = learner.group.gather(weights_hash(learner.network))
    log("weights", rank=learner.group.rank, sha256=hashes[learner.group.rank])
    if len(set(hashes)) > 1:
        raise WorkloadError(f"the ranks ended with different weights: {hashes}")
    return hashes


def with_ddp(settings: TrainDelay, snapshot: int | None) -> dict[str, Any]:
    result = work(settings, snapshot, Ddp())
    dist.destroy_process_group()
    return result


def main(train: Callable[[TrainDelay, int | None], dict[str, Any]], about: str | None) -> None:
    """Train with the settings and the snapshot that the command line names."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument(
        "--snapshot", type=int, help="Iceberg snapshot of the flights (default: the last loaded)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="Another value of a setting"
    )
    given = parser.parse_args()
    common.run(lambda: train(changed(getattr(config, given.config)(), given.set), given.snapshot))


if __name__ == "__main__":
    main(with_ddp, __doc__)
