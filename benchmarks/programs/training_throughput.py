"""Times the training step of `train_delay`: its network and optimizer, PyTorch DDP over gloo, made-up rows,
for each number of rows of a rank that it is told.

What a training also does (reading, logging, keeping checkpoints) is left out: it is the same on both sides
and would hide the step.
"""

import time
from typing import Any

import ranks
import torch
import torch.distributed as dist
import watch

from workloads.train_delay.model import DelayClassifier, weights_hash

CATEGORIES = [17, 4, 106]
"""Airlines, origins and destinations of the real flights, and one for those not seen, of each."""
NUMBERS = 13
"""Numeric features of `train_delay`."""


def rows(count: int, dice: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Made-up flights, of the real shape."""
    codes = [torch.randint(0, size, (count, 1), generator=dice).float() for size in CATEGORIES]
    numbers = torch.randn(count, NUMBERS, generator=dice)
    return torch.cat([*codes, numbers], dim=1), (torch.rand(count, generator=dice) < 0.25).float()


def steps(told: dict[str, Any], count: int, rank: int) -> tuple[list[float], float, str]:
    """Seconds of each step, CPU seconds of all steps and threads, and the hash of the weights after them."""
    torch.manual_seed(told["seed"])
    network = DelayClassifier(CATEGORIES, NUMBERS, told["hidden"])
    model = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    loss_of = torch.nn.BCEWithLogitsLoss()
    inputs, labels = rows(count, torch.Generator().manual_seed(told["seed"] + rank))
    taken = []
    dist.barrier()
    cpu = time.process_time()
    for _ in range(told["steps"]):
        began = time.perf_counter()
        loss = loss_of(model(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        taken.append(time.perf_counter() - began)
    return taken, time.process_time() - cpu, weights_hash(network)


def main() -> None:
    told = watch.told()
    rank, world = ranks.join()
    before = watch.look()
    for count in map(int, str(told["rows"]).split()):
        for taken, cpu, weights in ranks.gather(steps(told, count, rank)):
            if rank == 0:
                watch.tell("steps", world=world, rows=count, seconds=taken, cpu=cpu, weights=weights)
    for node in ranks.gather(watch.since(before)):
        if rank == 0:
            watch.tell("seen", **node)
    if rank == 0:
        watch.tell("done", ranks=world)
    ranks.leave()


if __name__ == "__main__":
    main()
