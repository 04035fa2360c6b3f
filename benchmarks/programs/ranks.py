"""How the ranks of a measuring program meet: in pods of a Job, or as processes that torchrun started."""

import os
import socket
import time
from datetime import timedelta
from typing import Any

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


def gather(value: Any) -> list[Any]:
    """The value of each rank, on every rank."""
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, value)
    return everyone
