"""The training step of `train_delay`, deployed by the platform against torchrun by hand, in the same image.

`platform` is a Job with a pod a rank, each on a node of its own, that meet by their Service; `bare` is the
same program with as many ranks, started by torchrun in one pod. They differ by what the platform costs.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from benchmarks import statistics
from benchmarks.benchmark import Benchmark, Metric, Plan, Taken
from benchmarks.errors import BenchmarkError
from benchmarks.pods import Launch, Printed, Reading, launch, launching, of_kind, pair, records, seen
from client import Platform

RANKS = 2
CONFIG: dict[str, str | int | float | bool] = {"rows": 1024, "hidden": 64, "steps": 400, "seed": 13}
SHAPES = {"platform": {"pods": RANKS}, "bare": {"processes": RANKS}}
"""Side → how its ranks are placed."""


def read(text: str) -> Reading:
    """Rows per second over the steps after the warm-up; a step lasts as long as on the slowest rank.

    Raises:
        BenchmarkError: the output is empty, torn or not whole, or the ranks ended with different weights.
    """
    found = records(text)
    ranks = of_kind(found, "steps", int(found[-1]["ranks"]))
    weights = {entry["weights"] for entry in ranks}
    if len(weights) > 1:
        raise BenchmarkError(
            f"the ranks ended with different weights: {', '.join(sorted(weights))}",
            "they did not train one network: mend the program",
        )
    steps = np.max([entry["seconds"] for entry in ranks], axis=0)
    warm = steps[statistics.warm_up(steps) :]
    rows = sum(entry["rows"] for entry in ranks)
    cpu = sum(entry["cpu"] for entry in ranks)
    values = {
        "train.throughput": [rows * len(warm) / float(np.sum(warm))],
        "train.step": [1000 * float(each) for each in warm],
        "train.cpu": [1000 * cpu / len(steps)],
    }
    return Reading(values, seen(found), weights.pop())


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    def launched(side: str) -> Printed:
        return launch(platform, Launch("training_throughput", plan.image, CONFIG, **SHAPES[side]))

    with launching(platform, "training_throughput"):
        for turn in plan.turns():
            taken, readings = pair(turn, launched, read)
            differs = float(readings["platform"].weights != readings["bare"].weights)
            platforms = {**taken.values["platform"], "train.differs": [differs]}
            yield replace(taken, values={**taken.values, "platform": platforms})


BENCHMARK = Benchmark(
    name="training_throughput",
    about="The training step of train_delay through the platform against torchrun by hand.",
    needs=("data",),
    sides=("platform", "bare"),
    metrics=(
        Metric(
            id="train.throughput", about="Rows of all ranks per second, after the warm-up.", unit="1/s",
            better="higher", tier=2, role="gate",
        ),
        Metric(
            id="train.step", about="A step of the slowest rank, after the warm-up.", unit="ms",
            better="lower", tier=2, role="trend",
        ),
        Metric(
            id="train.cpu", about="Processor time of a step, all ranks and threads together.", unit="ms",
            better="lower", tier=1, role="trend",
        ),
        Metric(
            id="train.differs", about="1 where the two sides end with different weights.", unit="count",
            better="lower", tier=0, role="gate", compared=False,
        ),
    ),
    config=CONFIG,
    measure=measure,
)  # fmt: skip
