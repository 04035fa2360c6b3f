"""Keeps the pairs of a run and makes the file of them."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import environment, statistics
from benchmarks.benchmark import Benchmark, Metric, Seen, Taken
from benchmarks.errors import BenchmarkError
from benchmarks.results import (
    Attachment,
    Condition,
    Environment,
    Measured,
    Pair,
    Results,
    Run,
    Subject,
    Summary,
    counting,
)
from workloads import quantiles

DISCARDED_SHARE = 0.2
"""A run of which more pairs than this share do not count is invalid."""


@dataclass
class Record:
    """What was measured so far."""

    benchmark: Benchmark
    pairs: list[Pair] = field(default_factory=list)
    samples: dict[str, dict[str, list[list[float]]]] = field(default_factory=dict)
    """Metric key → side → pair → samples."""
    seen: list[Seen] = field(default_factory=list)
    images: dict[str, str] = field(default_factory=dict)
    log: str = ""

    @classmethod
    def of(cls, benchmark: Benchmark, earlier: Results, log: str) -> "Record":
        """What an earlier run has, to be taken further."""
        samples = {entry.key: {s: list(v) for s, v in entry.samples.items()} for entry in earlier.metrics}
        return cls(benchmark, list(earlier.pairs), samples, [], dict(earlier.subject.images), log)

    def add(self, taken: Taken) -> Pair:
        """Keep one pair.

        Raises:
            BenchmarkError: it holds a metric that the benchmark does not declare.
        """
        given = {key for values in taken.values.values() for key in values}
        if unknown := sorted(given - set(self.benchmark.keys)):
            raise BenchmarkError(
                f"{self.benchmark.name} measured {', '.join(unknown)}, which it does not declare",
                f"add it to `metrics` in benchmarks/suite/{self.benchmark.name}.py",
            )
        for metric in self.benchmark.metrics:
            for key in metric.keys:
                by_side = self.samples.setdefault(key, {side: [] for side in self.sides(metric)})
                for side, lists in by_side.items():
                    lists.append([float(v) for v in taken.values.get(side, {}).get(key, ())])
        pair = Pair(
            number=taken.turn.number,
            block=taken.turn.block,
            order=list(taken.turn.order),
            seconds=round(taken.seconds, 3),
            steal_percent=max((each.steal_percent for each in taken.seen), default=0.0),
            discarded=environment.disturbance(taken),
        )
        self.pairs.append(pair)
        self.seen += taken.seen
        self.images.update(taken.images)
        self.log += f"=== pair {pair.number} ({', then '.join(pair.order)})\n{taken.log}\n"
        return pair

    def sides(self, metric: Metric) -> tuple[str, ...]:
        return self.benchmark.sides if metric.compared else self.benchmark.sides[:1]

    def results(self, run: Run, subject: Subject, env: Environment, folder: Path, *, whole: bool) -> Results:
        """The file; without `whole` its summaries are left out, which take time between two pairs."""
        return Results(
            schema="seatrial.bench/v1",
            run=run,
            subject=subject,
            env=env,
            config=dict(self.benchmark.config),
            pairs=self.pairs,
            metrics=[
                self.measured(metric, case, whole)
                for metric in self.benchmark.metrics
                for case in metric.cases
            ],
            validity=conditions(run, self.pairs),
            attachments=[self.attach(folder)],
        )

    def measured(self, metric: Metric, case: str, whole: bool) -> Measured:
        candidate, base = self.benchmark.sides
        nothing: list[list[float]] = []
        kept = self.samples.get(f"{metric.id}/{case}" if case else metric.id, {})
        samples = {side: kept.get(side, nothing) for side in self.sides(metric)}
        middles = counting(self.pairs, samples[candidate])[0]
        return Measured(
            id=metric.id, case=case, unit=metric.unit, better=metric.better, role=metric.role,
            tier=metric.tier, candidate=candidate, base=base if metric.compared else None, samples=samples,
            value=float(np.median(middles)) if middles.size else None,
            reason="" if middles.size else f"none of {len(self.pairs)} pairs has a sample that counts",
            summary={side: summary(self.pairs, lists) for side, lists in samples.items()} if whole else {},
        )  # fmt: skip

    def attach(self, folder: Path) -> Attachment:
        """Put what the pods printed beside the results."""
        path = log_file(folder, self.benchmark)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.log)
        return Attachment(
            path=path.name, sha256=hashlib.sha256(self.log.encode()).hexdigest(), type="pod-logs"
        )


def log_file(folder: Path, benchmark: Benchmark) -> Path:
    return folder / f"{benchmark.name}.log"


def conditions(run: Run, pairs: Sequence[Pair]) -> list[Condition]:
    """What must hold of a run that is judged."""
    discarded = sum(bool(pair.discarded) for pair in pairs) / len(pairs) if pairs else 0.0
    failed = float(run.ended == "failed")
    return [
        Condition(
            id="pairs.discarded", value=discarded, limit=DISCARDED_SHARE, ok=discarded <= DISCARDED_SHARE
        ),
        Condition(id="run.failed", value=failed, limit=0, ok=not failed),
    ]


def summary(pairs: Sequence[Pair], lists: Sequence[Sequence[float]]) -> Summary:
    middles, blocks, every = counting(pairs, lists)
    if not middles.size:
        return Summary(pairs=0, n=0, median=None, mean=None, sd=None, ci95=None)
    tails = quantiles.QUANTILES if every.size > middles.size else ()
    return Summary(
        pairs=middles.size,
        n=every.size,
        median=float(np.median(middles)),
        mean=float(np.mean(middles)),
        sd=float(np.std(middles, ddof=1)) if middles.size > 1 else None,
        ci95=statistics.interval95(middles, blocks),
        quantiles={str(q): quantiles.quantile(every, q) for q in tails},
        quantile_bound99={str(q): quantiles.quantile_bound(every, q) for q in tails},
        n_required={str(q): quantiles.samples_needed(q) for q in tails},
    )
