"""How the ranks of a measuring program meet: in pods of a Job, or as processes that torchrun started."""

import os
import socket
import sys
import time
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist

MEETING_TIME = timedelta(minutes=3)


def join() -> tuple[int, int]:
    """Meet the others; returns rank and world size. A name that does not resolve yet is waited for."""
    deadline = time.monotonic() + MEETING_TIME.total_seconds()
    while True:
        try:
            socket.getaddrinfo(os.environ["MASTER_ADDR"], None)
            break
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)
    torch.set_num_threads(1)
    dist.init_process_group("gloo", timeout=MEETING_TIME)
    return dist.get_rank(), dist.get_world_size()


def leave() -> NoReturn:
    """End this process once all are here. Python's own end is left out: with it, some launches ended in a
    segmentation fault after all was printed, when threads of gloo outlived what they work on.
    """
    dist.barrier()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def barrier() -> None:
    dist.barrier()


def all_reduce(buffer: torch.Tensor) -> None:
    """Put the sum over all ranks in the place of each one's values."""
    dist.all_reduce(buffer)


def gather(value: Any) -> list[Any]:
    """The value of each rank, on every rank."""
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone
