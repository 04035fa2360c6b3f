"""What a rank still does of the work that it does alone when a second one trains with it, on another node.

The program is that of `training_throughput` with a larger network. `weak`: each rank has as many rows a step
as the one alone; `strong`: both together have as many. The ratio of rows per second and rank is the
efficiency E(2) = T(2) / (2 x T(1)).
"""

from collections.abc import Iterator

import numpy as np

from benchmarks import statistics
from benchmarks.benchmark import Benchmark, Metric, Plan, Taken
from benchmarks.pods import Launch, Printed, Reading, launch, launching, of_kind, pair, records, seen
from client import Platform

RANKS = {"two": 2, "one": 1}
ROWS = 4096
CASES = ("weak", "strong")
CONFIG: dict[str, str | int | float | bool] = {"hidden": 512, "steps": 60, "seed": 13}


def rows_of(ranks: int) -> dict[str, int]:
    """Rows of a rank's step, by case."""
    return {"weak": ROWS, "strong": ROWS // ranks}


def read(text: str) -> Reading:
    """Rows per second and rank over the steps after the warm-up; a step lasts as long as on the slowest rank.

    Raises:
        BenchmarkError: the output is empty, torn or not whole.
    """
    found = records(text)
    ranks = int(found[-1]["ranks"])
    values = {}
    for case, rows in rows_of(ranks).items():
        own = [entry for entry in found if entry.get("rows") == rows]
        steps = np.max([entry["seconds"] for entry in of_kind(own, "steps", ranks)], axis=0)
        warm = steps[statistics.warm_up(steps) :]
        values[f"scale.per_rank/{case}"] = [rows * len(warm) / float(np.sum(warm))]
        values[f"scale.step/{case}"] = [1000 * float(each) for each in warm]
    return Reading(values, seen(found))


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    def launched(side: str) -> Printed:
        rows = dict.fromkeys(rows_of(RANKS[side]).values())
        told = {**CONFIG, "rows": " ".join(map(str, rows))}
        return launch(platform, Launch("training_throughput", plan.image, told, pods=RANKS[side]))

    with launching(platform, "training_throughput"):
        for turn in plan.turns():
            yield pair(turn, launched, read)[0]


BENCHMARK = Benchmark(
    name="scaling",
    about="A training step of two ranks on two nodes against one rank alone.",
    needs=("data",),
    sides=("two", "one"),
    metrics=(
        Metric(
            id="scale.per_rank", about="Rows per second of one rank, after the warm-up.", unit="1/s",
            better="higher", tier=2, role="gate", cases=CASES,
        ),
        Metric(
            id="scale.step", about="A step of the slowest rank, after the warm-up.", unit="ms",
            better="lower", tier=2, role="trend", cases=CASES,
        ),
    ),
    config={**CONFIG, "rows": ROWS},
    measure=measure,
)  # fmt: skip
