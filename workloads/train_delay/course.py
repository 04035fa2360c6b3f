"""How a training of the delay model runs its course, whatever framework computes a step."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from workloads.common import HopelessError, log
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.data import Data

PROGRESS = (
    "epoch", "step", "losses", "train_losses", "validation_losses", "slowest", "times_the_fastest", "spent",
)  # fmt: skip
"""What a state holds besides what the framework keeps."""


class Course:
    """How far a training has come: `step` steps of epoch `epoch` are done.

    `losses` has the loss of each step over its whole batch, equal on all ranks; `train_losses` their mean and
    `validation_losses` the loss on other rows, both of each epoch.
    """

    def __init__(self, settings: TrainDelay, rank: int, size: int, rows: int) -> None:
        self.settings, self.rank, self.size, self.rows = settings, rank, size, rows
        self.steps = steps_of(settings, size, rows)
        self.epoch = self.step = 0
        self.losses: list[float] = []
        self.train_losses: list[float] = []
        self.validation_losses: list[float] = []
        self.slowest: list[int] = []
        """The rank that was slowest in each epoch, where that is measured."""
        self.times_the_fastest: list[float] = []
        """How much slower it was than the fastest."""
        self.spent = 0.0
        """Seconds that this rank learned, in steps that are not lost."""
        self.order = (-1, np.empty(0, dtype=np.int64))
        """An epoch, and the order of its rows."""

    @property
    def total(self) -> int:
        """Steps done since the training began."""
        return self.epoch * self.steps + self.step

    def until(self) -> int:
        """The next step of the epoch at which something is to be told or kept."""
        every = (self.settings.log_every, self.settings.checkpoint_every)
        return min(self.steps, *((self.step // each + 1) * each for each in every))

    def share(self, step: int) -> np.ndarray:
        """Which rows of a step are this rank's. Their order comes from seed and epoch, so it is not kept."""
        if self.order[0] != self.epoch:
            # RandomState, not Generator: its numbers are the same in every version of NumPy.
            dice = np.random.RandomState([self.settings.seed, self.epoch])
            self.order = (self.epoch, dice.permutation(self.rows))
        share = self.settings.batch // self.size
        first = step * self.settings.batch + self.rank * share
        return self.order[1][first : first + share]

    def took(self, losses: list[float]) -> None:
        """These are the losses of the steps that were done next.

        Raises:
            HopelessError: one is no number.
        """
        for number, loss in enumerate(losses, self.total):
            if not abs(loss) < float("inf"):
                raise HopelessError(
                    f"the loss is {loss} at step {number} (epoch {self.epoch}): the training diverged; "
                    f"try a learning rate below {self.settings.learning_rate:g}"
                )
        self.losses += losses
        self.step += len(losses)

    def next_epoch(self, validation_loss: float) -> None:
        """Say what was learned, and begin the next epoch."""
        learned = sum(self.losses[-self.steps :]) / self.steps
        self.train_losses.append(learned)
        self.validation_losses.append(validation_loss)
        log("epoch", epoch=self.epoch, train_loss=learned, validation_loss=validation_loss)
        self.epoch, self.step = self.epoch + 1, 0

    def progress(self) -> dict[str, Any]:
        """The PROGRESS so far."""
        return {name: getattr(self, name) for name in PROGRESS}

    def resume(self, progress: Mapping[str, Any]) -> None:
        """Be as far as that `progress`."""
        for name in PROGRESS:
            setattr(self, name, progress[name])

    # --- what a framework does ------------------------------------------------------------------------------

    def advance(self) -> None:
        """Do the steps up to `until`.

        Raises:
            HopelessError: a loss is no number.
        """
        raise NotImplementedError

    def end_epoch(self, validation: Data) -> None:
        """Judge what was learned, and begin the next epoch."""
        raise NotImplementedError

    def weights_hash(self) -> str:
        """Equal only if every bit of the weights is."""
        raise NotImplementedError

    def state(self) -> bytes:
        """All that the next step depends on, for `restore`."""
        raise NotImplementedError

    def restore(self, state: bytes) -> None:
        """Be where the learner was that gave this state."""
        raise NotImplementedError


def steps_of(settings: TrainDelay, size: int, rows: int) -> int:
    """Steps of an epoch; the rows that fill no batch are left out."""
    if settings.batch % size:
        raise HopelessError(
            f"{size} ranks cannot share a batch of {settings.batch} rows evenly; "
            "choose another number of ranks, or another batch"
        )
    if rows < settings.batch:
        raise HopelessError(f"{rows} rows do not fill one batch of {settings.batch}; choose a smaller batch")
    return rows // settings.batch


def train(learner: Course, validation: Data, tell: Callable[[], None], keep: Callable[[], None]) -> None:
    """Learn to the end; `tell` is called when there are new losses, `keep` when there is a state to keep."""
    while learner.epoch < learner.settings.epochs:
        began = time.perf_counter()
        learner.advance()
        ended = learner.step == learner.steps
        checkpoint = ended or learner.step % learner.settings.checkpoint_every == 0
        if ended:
            learner.end_epoch(validation)
        learner.spent += time.perf_counter() - began
        tell()
        if checkpoint:
            keep()
