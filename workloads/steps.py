"""How long the steps of a training take, and which of their phases takes how much of it.

On a GPU the marks are CUDA events, read only when all steps are done, so that measuring makes nobody wait: a
phase is as long as the GPU's own time line says. On a CPU they are readings of a clock.
"""

import math
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any


@dataclass(frozen=True)
class Clock:
    """Marks points in time; `between` two of them are milliseconds, once `settle` was called."""

    mark: Callable[[], Any]
    between: Callable[[Any, Any], float]
    settle: Callable[[], None]


CPU = Clock(time.perf_counter, lambda first, last: (last - first) * 1000, lambda: None)


def cuda() -> Clock:
    import torch

    def mark() -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    return Clock(mark, lambda first, last: first.elapsed_time(last), torch.cuda.synchronize)


class Stopwatch:
    """Says `begin` at each step's start and `mark(phase)` at each phase's end; the first `warmup` steps, in
    which caches fill and code is compiled, do not count.
    """

    def __init__(self, clock: Clock, warmup: int) -> None:
        self.clock, self.warmup = clock, warmup
        self.begun = 0
        self.marks: list[list[tuple[str, Any]]] = []
        self.since = math.nan
        """Seconds of a clock when the first counted step began."""

    def begin(self) -> None:
        if self.begun == self.warmup:
            self.clock.settle()
            self.since = time.perf_counter()
        self.begun += 1
        if self.counts:
            self.marks.append([("", self.clock.mark())])

    @property
    def counts(self) -> bool:
        """Whether the step that goes on is one that counts."""
        return self.begun > self.warmup

    def mark(self, phase: str) -> None:
        if self.counts:
            self.marks[-1].append((phase, self.clock.mark()))

    def times(self) -> dict[str, Any]:
        """Milliseconds of a step and of its phases, and seconds from the first counted step until now."""
        self.clock.settle()
        wall = time.perf_counter() - self.since
        phases: dict[str, list[float]] = {}
        whole = []
        for marks in self.marks:
            for (_, first), (phase, last) in pairwise(marks):
                phases.setdefault(phase, []).append(self.clock.between(first, last))
            whole.append(self.clock.between(marks[0][1], marks[-1][1]))
        return {
            "warmup_steps": self.warmup,
            "steps": len(whole),
            "wall_s": round(wall, 3),
            "step_ms": spread(whole),
            "phases_ms": {phase: spread(values) for phase, values in phases.items()},
        }


def spread(values: Sequence[float]) -> dict[str, float] | None:
    """Median and 90th percentile (nearest rank); None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 4),
        "p90": round(ordered[math.ceil(0.9 * len(ordered)) - 1], 4),
    }


def exposed(clock: Clock, once: Callable[[bool], None], repeats: int = 10) -> dict[str, float]:
    """What the ranks' exchange of gradients adds to a step, in milliseconds: `once(True)` does forward and
    backward with it, `once(False)` without, in turns. What is hidden behind the backward pass does not count.
    """
    taken: dict[bool, list[float]] = {True: [], False: []}
    for repeat in range(repeats + 2):
        for exchange in (True, False):
            clock.settle()
            began = time.perf_counter()
            once(exchange)
            clock.settle()
            if repeat >= 2:
                taken[exchange].append((time.perf_counter() - began) * 1000)
    with_it, without = statistics.median(taken[True]), statistics.median(taken[False])
    return {
        "exposed_ms": round(with_it - without, 4),
        "with_ms": round(with_it, 4),
        "without_ms": round(without, 4),
        "repeats": repeats,
    }
