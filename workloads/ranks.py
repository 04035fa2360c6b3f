"""How the ranks of a training meet, speak with each other, and notice that one is lost.

A single process without `torchrun` meets nobody: it is rank 0 of 1, and needs no network.
"""

import ctypes
import hashlib
import os
import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from workloads.common import HopelessError, WorkloadError, by_one

MEETING_TIME = timedelta(minutes=3)
"""How long ranks wait for each other."""


@dataclass(frozen=True)
class Place:
    """Which of how many this process is, and the device that it computes on."""

    rank: int
    ranks: int
    device: torch.device
    backend: str | None
    """`gloo`, `nccl`, or None where there is nobody to speak with."""

    def share(self, rows: torch.Tensor) -> torch.Tensor:
        """This rank's part of the rows of a step; all parts are of one size."""
        return rows.chunk(self.ranks)[self.rank]


def take_place(device: str, batch: int) -> Place:
    """Join the other ranks, if there are any, and take a device: `cpu`, `cuda`, or `auto` for the better one.

    Each rank of a machine takes the GPU of its number there.

    Raises:
        HopelessError: no GPU is there, or too few, or the ranks cannot share `batch` rows evenly.
    """
    ranks, local = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("LOCAL_RANK", "0"))
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cuda" and not gpus:
        raise HopelessError("this configuration is for a GPU and PyTorch sees none; use --config tiny")
    if batch % ranks:
        raise HopelessError(f"{ranks} ranks cannot share a batch of {batch} evenly")
    on_gpu = gpus > 0 and device != "cpu"
    if on_gpu and local >= gpus:
        raise HopelessError(f"rank {local} of this machine has no GPU of its own, there are {gpus}")
    chosen = torch.device("cuda", local) if on_gpu else torch.device("cpu")
    if on_gpu:
        torch.cuda.set_device(chosen)
    backend = None
    if ranks > 1:
        backend = "nccl" if on_gpu else "gloo"
        # Python objects go by gloo in any case.
        join("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    return Place(int(os.environ.get("RANK", "0")), ranks, chosen, backend)


def join(backend: str = "gloo") -> None:
    """Meet the other ranks at MASTER_ADDR, whose name is waited for: its pod may be younger than this one."""
    try:
        _resolve(os.environ.get("MASTER_ADDR", "localhost"))
        dist.init_process_group(backend, timeout=MEETING_TIME)
    except (RuntimeError, ValueError, OSError) as error:
        where = os.environ.get("MASTER_ADDR")
        raise WorkloadError(
            f"rank {os.environ.get('RANK')} did not meet the others at {where}: {error}"
        ) from error


def _resolve(name: str) -> None:
    deadline = time.monotonic() + MEETING_TIME.total_seconds()
    while True:
        try:
            socket.getaddrinfo(name, None)
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def on_rank_0(work: Callable[[], Any]) -> Any:
    """Do `work` on rank 0 and give its result to all; if it fails there, it fails everywhere with the same
    cause.
    """
    if not dist.is_initialized():
        return work()

    def tell(answer: Any) -> Any:
        told = [answer]
        with peers():
            dist.broadcast_object_list(told, src=0)
        return told[0]

    return by_one(work if dist.get_rank() == 0 else None, tell)


@contextmanager
def peers() -> Iterator[None]:
    """A lost peer is reported as that, not as a socket's error."""
    try:
        yield
    except RuntimeError as error:
        if not dist.is_initialized() or isinstance(error, torch.OutOfMemoryError):
            raise
        said = re.sub(r"^\[\S+\] ", "", str(error).splitlines()[0]).split(". ")[0]
        raise WorkloadError(f"rank {os.environ.get('RANK')} lost another rank: {said}") from error


def gather(value: Any) -> list[Any]:
    """The value of each rank, on every rank."""
    if not dist.is_initialized():
        return [value]
    everyone: list[Any] = [None] * dist.get_world_size()
    with peers():
        dist.all_gather_object(everyone, value)
    return everyone


def mean(values: list[torch.Tensor]) -> list[float]:
    """Scalars that each rank has one of, averaged over the ranks; waits for the device."""
    both = torch.stack(values)
    if dist.is_initialized():
        with peers():
            dist.all_reduce(both)
        both /= dist.get_world_size()
    averaged: list[float] = both.tolist()
    return averaged


def weights_hash(model: nn.Module) -> str:
    """SHA-256 over all parameters, by name: equal only if every bit is. Every rank must ask; what is sharded
    over them is gathered.
    """
    whole = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        tensor = parameter.detach()
        if hasattr(tensor, "full_tensor"):
            tensor = tensor.full_tensor()
        tensor = tensor.cpu().contiguous()
        data = ctypes.string_at(tensor.data_ptr(), tensor.nbytes)
        whole.update(name.encode() + b"\0" + data)
    return whole.hexdigest()


def leave() -> None:
    if dist.is_initialized():
        dist.destroy_process_group()
