"""As `ranks`, by Horovod: the ranks are processes that mpirun started."""

import sys
from typing import Any, NoReturn

import horovod.torch as hvd
import torch


def join() -> tuple[int, int]:
    """Meet the others; returns rank and world size."""
    torch.set_num_threads(1)
    hvd.init()
    return hvd.rank(), hvd.size()


def leave() -> NoReturn:
    """End this process; mpirun takes one that does not say so for a failure."""
    hvd.shutdown()
    sys.exit(0)


def barrier() -> None:
    hvd.barrier()


def all_reduce(buffer: torch.Tensor) -> None:
    """Put the sum over all ranks in the place of each one's values. It has the same name each time, as a
    gradient has in a training: Horovod remembers what is known by name, and asks no more who has it.
    """
    hvd.allreduce_(buffer, name=f"{buffer.numel()} values", op=hvd.Sum)


def gather(value: Any) -> list[Any]:
    """The value of each rank, on every rank."""
    everyone: list[Any] = hvd.allgather_object(value)
    return everyone
