"""Gloo's all-reduce by message size, between two pods on two nodes against two processes in one pod."""

from collections.abc import Iterator
from functools import partial

from benchmarks.all_reduce import CONFIG, METRICS, PROGRAM, RANKS, Told, read, told
from benchmarks.benchmark import Benchmark, Plan, Taken
from benchmarks.pods import Launch, Printed, launch, launching, pair
from client import Platform

SHAPES = {"pods": {"pods": RANKS}, "one_pod": {"processes": RANKS}}
"""Side → how its ranks are placed."""


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    def launched(config: Told, side: str) -> Printed:
        return launch(platform, Launch(PROGRAM, plan.image, config, **SHAPES[side]))

    with launching(platform, PROGRAM):
        for turn in plan.turns():
            yield pair(turn, partial(launched, told(turn)), read)[0]


BENCHMARK = Benchmark(
    name="collectives",
    about="Gloo all-reduce between pods on two nodes against two processes in one pod.",
    needs=("data",),
    sides=("pods", "one_pod"),
    metrics=METRICS,
    config=CONFIG,
    measure=measure,
)
