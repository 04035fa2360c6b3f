"""How the ranks meet, speak with each other, and notice that one is lost."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch.distributed as dist

from workloads.common import WorkloadError

MEETING_TIME = timedelta(minutes=3)
"""How long ranks wait for each other."""


def join() -> None:
    """Meet the other ranks where torchrun, which has met those of the other nodes already, says."""
    try:
        dist.init_process_group("gloo", timeout=MEETING_TIME)
    except (RuntimeError, ValueError) as error:
        where = os.environ.get("MASTER_ADDR")
        raise WorkloadError(
            f"rank {os.environ.get('RANK')} did not meet the others at {where}: {error}"
        ) from error


def on_rank_0(work: Callable[[], Any]) -> Any:
    """Do `work` on rank 0 and give its result to all; if it fails there, it fails everywhere with the same
    cause.
    """
    answer: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            answer[0] = work()
        except WorkloadError as error:
            answer[1] = type(error)(str(error))
        except Exception as error:
            answer[1] = WorkloadError(f"{type(error).__name__}: {error}")
    with peers():
        dist.broadcast_object_list(answer, src=0)
    if answer[1] is not None:
        raise answer[1]
    return answer[0]


@contextmanager
def peers() -> Iterator[None]:
    """A lost peer is reported as that, not as a socket's error."""
    try:
        yield
    except RuntimeError as error:
        said = re.sub(r"^\[\S+\] ", "", str(error).splitlines()[0]).split(". ")[0]
        raise WorkloadError(f"rank {os.environ.get('RANK')} lost another rank: {said}") from error


def gather(value: Any) -> list[Any]:
    """The value of each rank, on every rank."""
    everyone: list[Any] = [None] * dist.get_world_size()
    with peers():
        dist.all_gather_object(everyone, value)
    return everyone
