"""The all-reduce by message size of Horovod over Open MPI against that of torch.distributed over gloo, which
DDP uses: two processes in one pod of one image, that differ by what sums and by what starts them.
"""

from collections.abc import Iterator
from functools import partial

import workloads
from benchmarks.all_reduce import CONFIG, METRICS, PROGRAM, RANKS, Told, read, told
from benchmarks.benchmark import Benchmark, Plan, Taken
from benchmarks.pods import Launch, Printed, Starter, launch, launching, pair
from client import Platform
from workloads import mpi

RANKS_BY = {"horovod": "ranks_horovod", "ddp": "ranks"}
"""Side → the module of the program by which its ranks meet and sum."""
STARTERS: dict[str, Starter] = {"horovod": "mpirun", "ddp": "torchrun"}


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    image = workloads.image_of(plan.image, mpi.IMAGE)

    def launched(config: Told, side: str) -> Printed:
        config = {**config, "ranks": RANKS_BY[side]}
        return launch(platform, Launch(PROGRAM, image, config, processes=RANKS, starter=STARTERS[side]))

    with launching(platform, PROGRAM):
        for turn in plan.turns():
            yield pair(turn, partial(launched, told(turn)), read)[0]


BENCHMARK = Benchmark(
    name="horovod",
    about="Horovod's all-reduce over Open MPI against that of torch.distributed over gloo, in one pod.",
    needs=("training",),
    sides=("horovod", "ddp"),
    metrics=METRICS,
    config=CONFIG,
    measure=measure,
)
