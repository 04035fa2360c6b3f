"""A training that can stop after any step and go on as if it had not.

What the next step depends on is all in `Learner`: weights, optimizer, place in the data, random state. The
order of an epoch's rows comes from seed and epoch, so that it need not be kept.
"""

import io
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from workloads.common import HopelessError, log
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.data import Data
from workloads.train_delay.features import Preprocessing
from workloads.train_delay.group import Group
from workloads.train_delay.model import DelayClassifier

loss_of = torch.nn.BCEWithLogitsLoss()


class Learner:
    """The network and how far it has come: `step` steps of epoch `epoch` are done.

    `losses` has the loss of each step over its whole batch, equal on all ranks; `train_losses` their mean and
    `validation_losses` the loss on other rows, both of each epoch.
    """

    def __init__(self, settings: TrainDelay, preprocessing: Preprocessing, data: Data, group: Group) -> None:
        self.settings, self.group = settings, group
        self.inputs, self.labels = data.inputs.to(group.device), data.labels.to(group.device)
        self.steps = steps_of(settings, group.size, len(data.labels))
        network = DelayClassifier(preprocessing.sizes, preprocessing.numeric, settings.hidden)
        self.network = network.to(group.device)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.model, self.optimizer = group.share(self.network, optimizer, self._one_row)
        self.epoch = self.step = 0
        self.losses: list[float] = []
        self.train_losses: list[float] = []
        self.validation_losses: list[float] = []
        self.alone: list[float] = []
        """Seconds of each step of this epoch that this rank spent by itself; from `backward` until the
        gradients are averaged it waits for the others."""
        self.order = (-1, torch.empty(0))
        """An epoch, and the order of its rows."""

    def _one_row(self, model: nn.Module) -> torch.Tensor:
        return loss_of(model(self.inputs[:1]), self.labels[:1])

    @property
    def total(self) -> int:
        """Steps done since the training began."""
        return self.epoch * self.steps + self.step

    def advance(self) -> None:
        """Do the steps up to the next one at which something is to be told or kept.

        Raises:
            HopelessError: a loss is no number.
        """
        every = (self.settings.log_every, self.settings.checkpoint_every)
        until = min(self.steps, *((self.step // each + 1) * each for each in every))
        self.model.train()
        own = torch.stack([self._one(step) for step in range(self.step, until)])
        losses = (self.group.sum(own) / self.group.size).tolist()
        self._require_numbers(losses)
        self.losses += losses
        self.step = until

    def _one(self, step: int) -> torch.Tensor:
        """One step on this rank's share of the batch; its loss."""
        began = time.perf_counter()
        share = self.settings.batch // self.group.size
        first = step * self.settings.batch + self.group.rank * share
        chosen = self._shuffled()[first : first + share]
        loss = loss_of(self.model(self.inputs[chosen]), self.labels[chosen])
        self.optimizer.zero_grad()
        ready = time.perf_counter()
        loss.backward()
        with self.group.averaged(self.optimizer):
            averaged = time.perf_counter()
            self.optimizer.step()
        self.alone.append(time.perf_counter() - averaged + ready - began)
        return loss.detach()

    def _shuffled(self) -> torch.Tensor:
        if self.order[0] != self.epoch:
            dice = torch.Generator().manual_seed(self.settings.seed + self.epoch)
            self.order = (self.epoch, torch.randperm(len(self.labels), generator=dice))
        return self.order[1]

    def _require_numbers(self, losses: list[float]) -> None:
        for number, loss in enumerate(losses, self.total):
            if not abs(loss) < float("inf"):
                raise HopelessError(
                    f"the loss is {loss} at step {number} (epoch {self.epoch}): the training diverged; "
                    f"try a learning rate below {self.settings.learning_rate:g}"
                )

    def end_epoch(self, validation: Data) -> None:
        """Judge what was learned, say which rank was slowest, and begin the next epoch."""
        learned = sum(self.losses[-self.steps :]) / self.steps
        loss = float(loss_of(logits(self.network, validation), validation.labels))
        self.train_losses.append(learned)
        self.validation_losses.append(loss)
        log("epoch", epoch=self.epoch, train_loss=learned, validation_loss=loss)
        tell_slowest(self.group.gather(sum(self.alone) / len(self.alone)))
        self.epoch, self.step, self.alone = self.epoch + 1, 0, []

    def state(self) -> bytes:
        """All of it, for `restore`; `torch.load(weights_only=True)` reads it."""
        buffer = io.BytesIO()
        kept: dict[str, Any] = {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": torch.get_rng_state(),
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses,
            "train_losses": self.train_losses,
            "validation_losses": self.validation_losses,
        }
        torch.save(kept, buffer)
        return buffer.getvalue()

    def restore(self, state: bytes) -> None:
        """Be where the learner was that gave this state."""
        kept = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
        self.network.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["generator"])
        self.epoch, self.step = kept["epoch"], kept["step"]
        self.losses = kept["losses"]
        self.train_losses, self.validation_losses = kept["train_losses"], kept["validation_losses"]


def steps_of(settings: TrainDelay, world: int, rows: int) -> int:
    """Steps of an epoch; the rows that fill no batch are left out."""
    if settings.batch % world:
        raise HopelessError(
            f"{world} ranks cannot share a batch of {settings.batch} rows evenly; "
            "choose another number of ranks, or another batch"
        )
    if rows < settings.batch:
        raise HopelessError(f"{rows} rows do not fill one batch of {settings.batch}; choose a smaller batch")
    return rows // settings.batch


def tell_slowest(seconds: list[float]) -> None:
    """Name the straggler; `seconds` is what each rank spent by itself on a step."""
    slowest = max(range(len(seconds)), key=seconds.__getitem__)
    log(
        "slowest rank",
        rank=slowest,
        milliseconds=round(seconds[slowest] * 1000, 2),
        times_the_fastest=round(seconds[slowest] / min(seconds), 2),
    )


def train(learner: Learner, validation: Data, tell: Callable[[], None], keep: Callable[[], None]) -> None:
    """Learn to the end; `tell` is called when there are new losses, `keep` when there is a state to keep."""
    while learner.epoch < learner.settings.epochs:
        learner.advance()
        ended = learner.step == learner.steps
        checkpoint = ended or learner.step % learner.settings.checkpoint_every == 0
        if ended:
            learner.end_epoch(validation)
        tell()
        if checkpoint:
            keep()


def logits(network: DelayClassifier, data: Data) -> torch.Tensor:
    """On the CPU, wherever the network is."""
    network.eval()
    with torch.inference_mode():
        return network(data.inputs.to(next(network.parameters()).device)).cpu()
