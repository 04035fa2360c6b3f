"""Measures: runs one benchmark pair by pair and keeps what came out. It knows no limit and no verdict.

The file is written after each pair, as one that was interrupted: whatever ends a run, even a kill, leaves
what was measured.
"""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from benchmarks import environment
from benchmarks.benchmark import Benchmark, Plan, Taken
from benchmarks.errors import BenchmarkError
from benchmarks.record import Record, log_file
from benchmarks.results import Results, Run, Subject
from client import Platform, Progress, Silent

LOOKS = (1, 2, 4)
"""How many times the planned pairs each look is at."""

Ended = Literal["done", "budget", "interrupted", "failed"]


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is asked of a run."""

    stack: str
    image: str
    """The image that the programs run in."""
    folder: Path
    """Where the results, and what the pods printed, go."""
    pairs: int
    budget: float | None = None
    """Seconds after which no new pair begins."""
    looks: Literal[1, 3] = 1
    seed: int = field(default_factory=lambda: secrets.randbelow(2**31))


def measure(
    benchmark: Benchmark,
    platform: Platform,
    order: Order,
    progress: Progress | None = None,
    earlier: Results | None = None,
) -> Results:
    """Measure the pairs that `order` asks for, or as many more as take `earlier` to its next look."""
    return Session(benchmark, platform, order, progress or Silent(), earlier).measure()


class Session:
    """One run of one benchmark."""

    def __init__(
        self,
        benchmark: Benchmark,
        platform: Platform,
        order: Order,
        progress: Progress,
        earlier: Results | None,
    ) -> None:
        self.benchmark, self.platform, self.order = benchmark, platform, order
        self.progress, self.earlier = progress, earlier
        self.began, self.started = time.monotonic(), datetime.now(UTC)
        self.id = f"{self.started:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"
        self.look = earlier.run.look + 1 if earlier else 1
        self.commit, self.dirty = environment.commit()
        self.record = Record(benchmark)
        if earlier:
            log = log_file(order.folder, benchmark)
            self.record = Record.of(benchmark, earlier, log.read_text() if log.is_file() else "")

    def measure(self) -> Results:
        pairs = self.record.pairs
        plan = Plan(
            self.benchmark.sides,
            image=self.order.image,
            pairs=self.order.pairs * LOOKS[self.look - 1],
            seed=self.order.seed,
            budget=self.order.budget,
            first=len(pairs),
            block=max((pair.block for pair in pairs), default=-1) + 1,
        )
        ended, reason = collect(self.benchmark, self.platform, plan, self.keep)
        return self.save(ended, reason, whole=True)

    def keep(self, taken: Taken) -> None:
        pair = self.record.add(taken)
        note = f"  discarded: {pair.discarded}" if pair.discarded else ""
        self.progress.say(f"    pair {pair.number + 1}: {pair.seconds:.1f} s{note}")
        self.save("interrupted", "it was killed after this pair", whole=False)

    def save(self, ended: Ended, reason: str, *, whole: bool) -> Results:
        run = Run(
            id=self.id,
            benchmark=self.benchmark.name,
            started=self.started,
            seconds=round(time.monotonic() - self.began, 1),
            seed=self.order.seed,
            pairs=self.order.pairs,
            looks=self.order.looks,
            look=self.look,
            ended=ended,
            reason=reason,
            complete=ended == "done",
        )
        subject = Subject(
            stack=self.order.stack, commit=self.commit, dirty=self.dirty, images=self.record.images
        )
        env = environment.describe(self.platform, self.record.seen)
        results = self.record.results(run, subject, env, self.order.folder, whole=whole)
        if self.earlier and self.record.seen:
            require_alike(self.earlier, results)
        results.write(self.order.folder / f"{self.benchmark.name}.json")
        return results


def collect(
    benchmark: Benchmark, platform: Platform, plan: Plan, keep: Callable[[Taken], None]
) -> tuple[Ended, str]:
    """Measure until the plan is done; an error or Ctrl-C ends the run, not what was measured."""
    try:
        for taken in benchmark.measure(platform, plan):
            keep(taken)
    except KeyboardInterrupt:
        return "interrupted", "Ctrl-C"
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    if plan.out_of_time:
        return "budget", f"the time budget of {plan.budget:.0f} s was used up"
    return "done", ""


def require_alike(earlier: Results, later: Results) -> None:
    """Refuse to add pairs to a run of something else, or of elsewhere."""
    told = {
        "seed": (earlier.run.seed, later.run.seed),
        "commit": (earlier.subject.commit, later.subject.commit),
        "config": (earlier.config, later.config),
        "images": (earlier.subject.images, later.subject.images),
        "machine": (earlier.env.fingerprint, later.env.fingerprint),
    }
    if differs := [f"{name}: {one} then, {two} now" for name, (one, two) in told.items() if one != two]:
        raise BenchmarkError(
            f"run {earlier.run.id} cannot be taken further: {'; '.join(differs)}", "measure anew"
        )
