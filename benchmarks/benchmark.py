"""What a benchmark is, and how its module in `benchmarks/suite/` is found.

A module has one object `BENCHMARK` whose name is the module's. Its `measure(platform, plan)` yields one
`Taken` for each pair; it asks `plan.turns()` or `plan.blocks()` for the order of the two sides, which a
seeded coin decides, and knows nothing of limits and verdicts.
"""

import fnmatch
import importlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.errors import BenchmarkError
from benchmarks.results import Better, Role, Tier, Unit
from client import Platform, outputs, served_kinds

Values = Mapping[str, Sequence[float]]
"""Metric key → what was measured, in order."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure that a benchmark gives; `cases` are the keys under which it comes, for instance sizes."""

    id: str
    about: str
    """What it is, in one sentence."""
    unit: Unit
    better: Better
    tier: Tier
    role: Role
    compared: bool = True
    """Whether the two sides are compared; else the first side's value stands alone."""
    cases: tuple[str, ...] = ("",)

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(f"{self.id}/{case}" if case else self.id for case in self.cases)


@dataclass(frozen=True)
class Turn:
    """The next pair: its number, its block, and the sides in the order in which they are measured."""

    number: int
    block: int
    order: tuple[str, str]


@dataclass(frozen=True)
class Seen:
    """What a pod of a pair saw of its node meanwhile."""

    node: str
    cpu: str
    """The processor's model."""
    steal_percent: float
    swapped_pages: int
    load1: float


@dataclass(frozen=True)
class Taken:
    """One pair, measured."""

    turn: Turn
    values: Mapping[str, Values]
    """Side → metric key → samples."""
    seconds: float
    seen: Sequence[Seen]
    images: Mapping[str, str] = field(default_factory=dict)
    """Image name → digest."""
    log: str = ""
    """What the pods printed, from which the values were read."""
    unfit: str = ""
    """Why the pair must not count, where the benchmark knows a reason of its own."""


class Plan:
    """How many pairs, in which order, until when."""

    def __init__(
        self,
        sides: tuple[str, str],
        *,
        image: str,
        pairs: int,
        seed: int,
        budget: float | None = None,
        first: int = 0,
        block: int = 0,
    ) -> None:
        self.sides = sides
        self.image = image
        """The image that the programs run in."""
        self.pairs = pairs
        self.seed = seed
        self.first = first
        """The number of the first pair: more than 0 when an earlier run is taken further."""
        self.block = block
        self.budget = budget
        self.until = None if budget is None else time.monotonic() + budget
        self.out_of_time = False

    def turns(self) -> Iterator[Turn]:
        """One pair after another, each a block of its own."""
        for (turn,) in self.blocks(1):
            yield turn

    def blocks(self, size: int) -> Iterator[list[Turn]]:
        """At most `size` pairs at a time, to be measured in the same pods; none once the time is up."""
        numbers = range(self.first, self.pairs)
        for place, start in enumerate(range(self.first, self.pairs, size)):
            if self.until is not None and time.monotonic() >= self.until:
                self.out_of_time = True
                return
            block = self.block + place
            yield [Turn(n, block, self.order(n)) for n in numbers if start <= n < start + size]

    def order(self, number: int) -> tuple[str, str]:
        """The sides of a pair in the order that the coin says; the same for the same seed."""
        one, other = self.sides
        return (one, other) if np.random.default_rng([self.seed, number]).integers(2) else (other, one)


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """One benchmark: what it gives and how it is measured."""

    name: str
    about: str
    needs: tuple[str, ...]
    """Parts of the platform that it runs on: keys of `NEEDS`."""
    sides: tuple[str, str]
    """The candidate and what it is compared with."""
    metrics: tuple[Metric, ...]
    config: Mapping[str, str | int | float | bool]
    """What is told to the programs; it is part of the results."""
    measure: Callable[[Platform, Plan], Iterator[Taken]]
    pairs: int = 30
    """How many a run measures if nobody says otherwise. With 30 a wall time that is a fifth worse is seen in
    97 of 100 runs on a busy machine.
    """

    @property
    def keys(self) -> list[str]:
        return [key for metric in self.metrics for key in metric.keys]


NEEDS: dict[str, Callable[[Platform], bool]] = {
    "data": lambda platform: "S3_BUCKET" in platform.access,
    "serving": lambda platform: set(outputs.SECRET_ACCESS_OF["serving"]) <= set(platform.access),
    "training": lambda platform: "TrainJob" in served_kinds(platform.api),
    "tuning": lambda platform: set(outputs.SECRET_ACCESS_OF["tuning"]) <= set(platform.access),
}
"""Part of the platform → whether it is there."""


def lacking(benchmark: Benchmark, platform: Platform) -> list[str]:
    """What the benchmark needs and this platform has not."""
    return [need for need in benchmark.needs if not NEEDS[need](platform)]


def discover() -> list[Benchmark]:
    """All benchmarks, by name."""
    folder = Path(__file__).parent / "suite"
    return [load(path.stem) for path in sorted(folder.glob("[a-z]*.py"))]


def load(name: str) -> Benchmark:
    """The benchmark of one module; a module without a fitting `BENCHMARK` is refused."""
    found = getattr(importlib.import_module(f"benchmarks.suite.{name}"), "BENCHMARK", None)
    if not isinstance(found, Benchmark) or found.name != name:
        given = f"'{found.name}'" if isinstance(found, Benchmark) else found
        raise BenchmarkError(
            f"benchmarks/suite/{name}.py has no benchmark of its own name (BENCHMARK is {given})",
            f"give it BENCHMARK = Benchmark(name='{name}', …)",
        )
    return found


def choose(benchmarks: Sequence[Benchmark], only: Sequence[str] | None) -> list[Benchmark]:
    """Those whose name matches a word of `only` (wildcards allowed); a word that fits nothing is refused.

    Raises:
        ValueError: no benchmark is called so.
    """
    if not only:
        return list(benchmarks)
    for word in only:
        if not any(fnmatch.fnmatch(entry.name, word) for entry in benchmarks):
            raise ValueError(
                f"no benchmark is called '{word}'; there are: {', '.join(entry.name for entry in benchmarks)}"
            )
    return [entry for entry in benchmarks if any(fnmatch.fnmatch(entry.name, word) for word in only)]
