"""The ranks of the training: who they are, how they speak with each other, how their gradients become one.

The training knows no more of it than `Group`. `Ddp` is PyTorch's; `train_delay_horovod` brings another.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn
from torch.optim import Optimizer

from workloads import ranks
from workloads.train_delay.work import Ranks


class Group(Ranks, Protocol):
    """Ranks that train with PyTorch."""

    device: torch.device
    """What this rank computes on."""

    def share(
        self, network: nn.Module, optimizer: Optimizer, once: Callable[[nn.Module], torch.Tensor]
    ) -> tuple[nn.Module, Optimizer]:
        """The two as they are used from now on: a step is taken with the mean of all ranks' gradients.

        `once` gives the loss of one row.
        """

    def averaged(self, optimizer: Optimizer) -> AbstractContextManager[None]:
        """Wait until the gradients are the mean of all ranks'; in it the step is taken."""

    def sum(self, own: torch.Tensor) -> torch.Tensor:
        """The sum of each rank's tensor, on every rank."""


class Ddp:
    """PyTorch's DistributedDataParallel over gloo; torchrun said who takes part."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        ranks.join()
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def share(
        self, network: nn.Module, optimizer: Optimizer, once: Callable[[nn.Module], torch.Tensor]
    ) -> tuple[nn.Module, Optimizer]:
        """With a step for nothing: after its first one DDP groups the gradients anew, and with three or more
        ranks the grouping decides in which order they are summed. So each start is past that.
        """
        model = nn.parallel.DistributedDataParallel(network)
        once(model).backward()
        optimizer.zero_grad()
        return model, optimizer

    def averaged(self, optimizer: Optimizer) -> AbstractContextManager[None]:
        """They are when `backward` returns."""
        return nullcontext()

    def sum(self, own: torch.Tensor) -> torch.Tensor:
        dist.all_reduce(own)
        return own

    def gather(self, own: Any) -> list[Any]:
        return ranks.gather(own)

    def on_rank_0(self, work: Callable[[], Any]) -> Any:
        return ranks.on_rank_0(work)

    def peers(self) -> AbstractContextManager[None]:
        return ranks.peers()

    def kept(self) -> None:
        """These ranks stay to the end."""
