"""What each rank of a training does from start to end, whatever framework trains."""

import argparse
import os
import re
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from functools import lru_cache
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from workloads import common
from workloads.beginning import Beginning
from workloads.checkpoints import Checkpoints, Saver
from workloads.common import HopelessError, WorkloadError, log
from workloads.opening import Opening
from workloads.settings import changed
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.course import Course, train
from workloads.train_delay.data import Content, Data, Source, locate, read, split
from workloads.train_delay.features import Preprocessing
from workloads.train_delay.runs import DelayRun


class Ranks(Protocol):
    """The ranks as one of them sees them; each of them does the same with it in the same order."""

    rank: int
    size: int

    def gather(self, own: Any) -> list[Any]:
        """The value of each rank, on every rank."""

    def on_rank_0(self, work: Callable[[], Any]) -> Any:
        """Do `work` on rank 0 and give its result to all; if it fails there, it fails everywhere."""

    def peers(self) -> AbstractContextManager[None]:
        """A lost peer is reported as that."""

    def kept(self) -> None:
        """A checkpoint was kept: others may go on from here."""


def work(
    settings: TrainDelay,
    snapshot: int | None,
    group: Ranks,
    beginning: Beginning,
    *,
    learner_of: Callable[..., Any],
    run_of: Callable[..., Any],
    array: Callable[[np.ndarray], Any],
) -> dict[str, Any]:
    """Train and tell. The framework brings its learner (a Course), its run (a DelayRun) and its arrays."""
    began = time.monotonic()
    common.seed_everything(settings.seed)
    training: str = group.on_rank_0(training_id)
    checkpoints = Checkpoints(common.s3(), common.env("S3_BUCKET"), training, keep=settings.checkpoints_kept)
    source, state = group.on_rank_0(lambda: take_up(settings, snapshot, checkpoints))
    own_run = (lambda: run_of(settings, source.content, training, group.size)) if group.rank == 0 else None
    with Opening(own_run) as opening:
        if state is None:
            group.on_rank_0(opening.wait)
        beginning.mark("take_up")
        preprocessing, data = prepared(settings, source, array)
        told = {name: len(part.labels) for name, part in data.items()}
        log("read", seconds=round(time.monotonic() - began, 1), training=training, **told)
        beginning.mark("read")
        # The run of a training that is taken up is there: nobody waits for it before it is written to.
        opening.begin()
        learner = learner_of(settings, preprocessing, data["train"], group)
        learn(learner, data["validation"], state, opening, checkpoints, group, beginning)
        hashes = equal_weights(learner, group)
        nodes = group.gather(os.environ.get("NODE_NAME", socket.gethostname()))
        result = group.on_rank_0(
            lambda: opening.run().finish(learner.network, preprocessing, data["test"], hashes)
        )
    return {**result, "training": training, "rank": group.rank, "resumed_at": state and state[0],
            "own_weights_sha256": hashes[group.rank], "nodes": nodes,
            "steps": learner.total, "learned_seconds": round(learner.spent, 3),
            "seconds": round(time.monotonic() - began, 1)}  # fmt: skip


@lru_cache(maxsize=1)
def prepared(
    settings: TrainDelay, source: Source, array: Callable[[np.ndarray], Any]
) -> tuple[Preprocessing, dict[str, Data]]:
    """The data, read once, however often this process begins."""
    return split(settings, read(settings, source), array)


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
    learner: Course,
    validation: Data,
    state: tuple[int, bytes] | None,
    opening: Opening[DelayRun],
    checkpoints: Checkpoints,
    group: Ranks,
    beginning: Beginning,
) -> None:
    """Train from `state`, or from the start."""
    if state:
        learner.restore(state[1])
        log("resumed", step=state[0], epoch=learner.epoch)
    beginning.mark("restore")

    def tell() -> None:
        beginning.over("first_steps")
        for run in opening.ready():
            run.tell(learner)

    def put() -> None:
        # MLflow may be behind: the state holds the losses too, and what the run lacks is told when the
        # training is taken up.
        opening.run().check()
        saver.save(learner.total, learner.state())

    def keep() -> None:
        group.on_rank_0(put)
        log("checkpoint", step=learner.total)
        group.kept()

    with Saver(checkpoints) as saver, group.peers():
        train(learner, validation, tell, keep)
        group.on_rank_0(saver.flush)
        group.on_rank_0(lambda: opening.run().tell(learner))


def equal_weights(learner: Course, group: Ranks) -> list[str]:
    """The hash of each rank's weights."""
    hashes = group.gather(learner.weights_hash())
    log("weights", rank=group.rank, sha256=hashes[group.rank])
    if len(set(hashes)) > 1:
        raise WorkloadError(f"the ranks ended with different weights: {hashes}")
    return hashes


def command(
    train: Callable[[TrainDelay, int | None], dict[str, Any]], config: ModuleType, about: str | None
) -> None:
    """Train with the settings (of `config`) and the snapshot that the command line names."""
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
