"""Times the all-reduce by message size, and copying in memory, which no transport can beat.

The setting `ranks` names the module by which ranks meet and sum: `ranks` (torch.distributed over gloo) or
`ranks_horovod`. Every iteration starts at a barrier; each rank times its own. Rank 0 prints what all saw.
"""

import importlib
import random
import time
from types import ModuleType

import torch
import watch

COPIED = 64 << 20
"""Bytes of a copy: more than any cache holds."""


def all_reduce(
    ranks: ModuleType, size: int, iterations: int, rank: int, world: int
) -> tuple[list[float], int]:
    """Seconds of each iteration here, and how many values of a checked one are wrong."""
    buffer = torch.zeros(size // 4)
    taken = []
    for _ in range(iterations + 1):
        ranks.barrier()
        began = time.perf_counter()
        ranks.all_reduce(buffer)
        taken.append(time.perf_counter() - began)
    buffer.fill_(rank + 1)
    ranks.all_reduce(buffer)
    wrong = int((buffer != world * (world + 1) / 2).sum())
    return taken[1:], wrong  # The first one makes connections and touches memory.


def copies(count: int) -> list[float]:
    """Seconds of each copy of `COPIED` bytes."""
    one, other = torch.ones(COPIED // 4), torch.zeros(COPIED // 4)
    taken = []
    for _ in range(count + 1):
        began = time.perf_counter()
        other.copy_(one)
        taken.append(time.perf_counter() - began)
    return taken[1:]


def main() -> None:
    told = watch.told()
    ranks = importlib.import_module(told["ranks"])
    rank, world = ranks.join()
    before = watch.look()
    if rank == 0:
        watch.tell("memcpy", bytes=COPIED, seconds=copies(told["copies"]))
    sizes = [int(size) for size in told["sizes"].split()]
    random.Random(told["turn"]).shuffle(sizes)
    for size in sizes:
        iterations = told["iterations_small"] if size <= told["small"] else told["iterations"]
        seconds, wrong = all_reduce(ranks, size, iterations, rank, world)
        seen = ranks.gather((seconds, wrong))
        if rank == 0:
            watch.tell(
                "all_reduce", bytes=size, world=world, seconds=[each[0] for each in seen],
                wrong=sum(each[1] for each in seen),
            )  # fmt: skip
    for seen in ranks.gather(watch.since(before)):
        if rank == 0:
            watch.tell("seen", **seen)
    if rank == 0:
        watch.tell("done", sizes=len(sizes))
    ranks.leave()


if __name__ == "__main__":
    main()
