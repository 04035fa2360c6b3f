"""The ranks as Horovod has them.

Which library sums is not said here: Horovod takes NCCL for what lies on a GPU, where it was built with it,
and for the rest MPI under `mpirun` and gloo under `horovodrun`.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import horovod.torch as hvd
import torch
from horovod.common.elastic import State
from horovod.common.exceptions import HorovodInternalError
from torch import nn
from torch.optim import Optimizer

from workloads.common import WorkloadError, by_one


class Horovod:
    """The ranks that there are now; `state` tells of their coming and going where they may (elastic)."""

    def __init__(self, state: State | None = None) -> None:
        self.rank, self.size, self.state = hvd.rank(), hvd.size(), state
        self.device = device()

    def share(
        self, network: nn.Module, optimizer: Optimizer, once: Callable[[nn.Module], torch.Tensor]
    ) -> tuple[nn.Module, Optimizer]:
        """All gradients are summed as one group, else their order in the sum is one of time; divided before
        that, as DDP does it. What the optimizer has is not told to the others: it has nothing yet.
        """
        hvd.broadcast_parameters(network.state_dict(), root_rank=0)
        named = list(network.named_parameters())
        averaging = hvd.DistributedOptimizer(
            optimizer, named_parameters=named, num_groups=1, gradient_predivide_factor=float(self.size)
        )
        return network, averaging

    @contextmanager
    def averaged(self, optimizer: Any) -> Iterator[None]:
        optimizer.synchronize()
        with optimizer.skip_synchronize():
            yield

    def sum(self, own: torch.Tensor) -> torch.Tensor:
        total: torch.Tensor = hvd.allreduce(own, op=hvd.Sum)
        return total

    def gather(self, own: Any) -> list[Any]:
        with self.peers():
            everyone: list[Any] = hvd.allgather_object(own)
        return everyone

    def on_rank_0(self, work: Callable[[], Any]) -> Any:
        def tell(answer: Any) -> Any:
            with self.peers():
                return hvd.broadcast_object(answer, root_rank=0)

        return by_one(work if self.rank == 0 else None, tell)

    def peers(self) -> AbstractContextManager[None]:
        """Where ranks may go, a lost one is not a failure: Horovod begins again with those that are left."""
        return nullcontext() if self.state else reported(self.rank)

    def kept(self) -> None:
        if self.state:
            self.state.commit()


@contextmanager
def reported(rank: int) -> Iterator[None]:
    try:
        yield
    except HorovodInternalError as error:
        said = str(error).splitlines()[0]
        raise WorkloadError(f"rank {rank} lost another rank: {said}") from error


def device() -> torch.device:
    """The GPU of this rank's number on its machine, where there is one and Horovod can sum on it."""
    if not (torch.cuda.is_available() and hvd.nccl_built()):
        return torch.device("cpu")
    if hvd.local_rank() >= torch.cuda.device_count():
        raise WorkloadError(
            f"rank {hvd.local_rank()} of this machine has no GPU of its own, there are "
            f"{torch.cuda.device_count()}; start as many ranks"
        )
    chosen = torch.device("cuda", hvd.local_rank())
    torch.cuda.set_device(chosen)
    return chosen
