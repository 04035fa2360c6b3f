"""A training that can stop after any step and go on as if it had not.

What the next step depends on is all in `Learner`: weights, optimizer, place in the data, random state.
"""

import io
import time
from typing import Any

import torch
from torch import nn

from workloads.common import log
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.course import Course
from workloads.train_delay.data import Data
from workloads.train_delay.features import Preprocessing
from workloads.train_delay.group import Group
from workloads.train_delay.model import DelayClassifier, weights_hash

loss_of = torch.nn.BCEWithLogitsLoss()


class Learner(Course):
    """The network and how far it has come."""

    def __init__(self, settings: TrainDelay, preprocessing: Preprocessing, data: Data, group: Group) -> None:
        super().__init__(settings, group.rank, group.size, len(data.labels))
        self.group = group
        self.inputs, self.labels = data.inputs.to(group.device), data.labels.to(group.device)
        network = DelayClassifier(preprocessing.sizes, preprocessing.numeric, settings.hidden)
        network.take(preprocessing.shape(settings.hidden).first_weights(settings.seed))
        self.network = network.to(group.device)
        optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.model, self.optimizer = group.share(self.network, optimizer, self._one_row)
        self.alone: list[float] = []
        """Seconds of each step of this epoch that this rank spent by itself; from `backward` until the
        gradients are averaged it waits for the others."""

    def _one_row(self, model: nn.Module) -> torch.Tensor:
        return loss_of(model(self.inputs[:1]), self.labels[:1])

    def advance(self) -> None:
        self.model.train()
        own = torch.stack([self._one(step) for step in range(self.step, self.until())])
        self.took((self.group.sum(own) / self.group.size).tolist())

    def _one(self, step: int) -> torch.Tensor:
        """One step on this rank's share of the batch; its loss."""
        began = time.perf_counter()
        chosen = torch.from_numpy(self.share(step))
        loss = loss_of(self.model(self.inputs[chosen]), self.labels[chosen])
        self.optimizer.zero_grad()
        ready = time.perf_counter()
        loss.backward()
        with self.group.averaged(self.optimizer):
            averaged = time.perf_counter()
            self.optimizer.step()
        self.alone.append(time.perf_counter() - averaged + ready - began)
        return loss.detach()

    def end_epoch(self, validation: Data) -> None:
        """Judge what was learned, say which rank was slowest, and begin the next epoch."""
        self.next_epoch(float(loss_of(logits(self.network, validation), validation.labels)))
        self._find_slowest()
        self.alone = []

    def _find_slowest(self) -> None:
        """Of the steps since the epoch began, or since it was taken up."""
        seconds = self.group.gather(sum(self.alone) / max(len(self.alone), 1))
        slowest, times = straggler(seconds)
        self.slowest.append(slowest)
        self.times_the_fastest.append(times)
        milliseconds = round(seconds[slowest] * 1000, 2)
        log("slowest rank", rank=slowest, milliseconds=milliseconds, times_the_fastest=round(times, 2))

    def weights_hash(self) -> str:
        return weights_hash(self.network)

    def state(self) -> bytes:
        """All of it, for `restore`; `torch.load(weights_only=True)` reads it."""
        buffer = io.BytesIO()
        kept: dict[str, Any] = {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "generator": torch.get_rng_state(),
            **self.progress(),
        }
        torch.save(kept, buffer)
        return buffer.getvalue()

    def restore(self, state: bytes) -> None:
        """Be where the learner was that gave this state."""
        kept = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
        self.network.load_state_dict(kept["model"])
        self.optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["generator"])
        self.resume(kept)


def straggler(seconds: list[float]) -> tuple[int, float]:
    """The slowest rank and how many times the fastest's time it took; `seconds` is what each rank spent by
    itself on a step.
    """
    slowest = seconds.index(max(seconds))
    fastest = min(seconds)
    return slowest, seconds[slowest] / fastest if fastest else 1.0


def logits(network: DelayClassifier, data: Data) -> torch.Tensor:
    """On the CPU, wherever the network is."""
    network.eval()
    with torch.inference_mode():
        return network(data.inputs.to(next(network.parameters()).device)).cpu()
