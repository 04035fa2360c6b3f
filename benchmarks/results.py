"""What one run of one benchmark leaves: the file `seatrial.bench/v1`.

Raw samples stay in it, so that every figure can be computed again. GB is 1e9 bytes, KiB and MiB are powers of
two, times are UTC. What could not be measured is `null` with a reason, never left out.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, model_validator

from benchmarks.errors import BenchmarkError
from benchmarks.statistics import Floats

SCHEMA = "seatrial.bench/v1"
Unit = Literal["s", "ms", "us", "1/s", "GB/s", "ratio", "count"]
UNITS: tuple[str, ...] = get_args(Unit)
Better = Literal["lower", "higher"]
Role = Literal["gate", "trend"]
"""A gate can fail a run; a trend is only told."""
Tier = Literal[0, 1, 2]
"""0 has no noise and no tolerance (counts), 1 is CPU time, 2 is wall time."""
VerdictWord = Literal["pass", "regression", "improvement", "inconclusive", "invalid"]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Strict(BaseModel):
    """A part of a file: a key that is not known is an error, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Run(Strict):
    """Which run this was and how it ended."""

    id: str
    benchmark: str
    started: AwareDatetime
    seconds: float
    seed: int
    """Decides the order inside each pair."""
    pairs: int = Field(ge=1)
    """Pairs planned for the first look."""
    looks: Literal[1, 3] = 1
    """How often a verdict may be given: at `pairs`, and with 3 again at twice and four times as many."""
    look: int = Field(1, ge=1, le=3)
    """The look that this file is for."""
    ended: Literal["done", "budget", "interrupted", "failed"]
    reason: str = ""
    """Why it ended so; empty when it is done."""
    complete: bool
    """All planned pairs were measured."""

    @model_validator(mode="after")
    def _only_a_whole_run_is_complete(self) -> Self:
        if self.complete != (self.ended == "done"):
            raise ValueError(f"complete is {self.complete}, but the run ended: {self.ended}")
        return self


class Subject(Strict):
    """What was measured."""

    stack: str
    commit: str | None
    """None outside a git checkout."""
    dirty: bool
    images: dict[str, str] = {}
    """Image name → digest, as the nodes resolved it."""


class Machine(Strict):
    """One node."""

    node: str
    cores: float
    memory_gib: float
    kernel: str
    os: str


class Environment(Strict):
    """Where it was measured. `fingerprint` is equal only for equal machines and Kubernetes versions."""

    fingerprint: str
    machine: str
    """The machine class, for people and for evidence: `2 cores, AMD EPYC 9B14`."""
    cpus: list[str]
    """Processor models of the nodes that measured."""
    machines: list[Machine]
    kubernetes: str
    load1: Number | None
    """Mean load of a node when a pair began; None when no pair was measured."""
    steal_percent: Number | None
    """Most of the processor's time that others took during a pair."""


class Pair(Strict):
    """Two measurements side by side; the samples of each metric lie at the pair's place in its lists."""

    number: int
    block: int
    """Pairs of one block were measured one after another in the same pods, and are resampled together."""
    order: list[str]
    """The sides in the order in which they were measured."""
    seconds: float
    steal_percent: Number
    discarded: str = ""
    """Why the pair does not count; empty when it does."""


class Summary(Strict):
    """One side of a metric over the pairs that count, each of which gives the median of its samples."""

    pairs: int
    n: int
    """Samples in these pairs."""
    median: Number | None
    mean: Number | None
    sd: Number | None
    ci95: tuple[Number, Number] | None
    """Of the median, by bootstrap over blocks; None for a single block."""
    quantiles: dict[str, Number | None] = {}
    """Of all samples, left out where a pair gives but one; None with fewer samples than `n_required`."""
    quantile_bound99: dict[str, Number | None] = {}
    """Upper bound of the quantile at 99 % confidence (LoadGen's early stopping)."""
    n_required: dict[str, int] = {}


class Measured(Strict):
    """One metric of one case, for instance `coll.busbw` at `16MiB`."""

    id: str
    case: str = ""
    unit: Unit
    better: Better
    role: Role
    tier: Tier
    candidate: str
    """The side that is judged."""
    base: str | None = None
    """The side that it is compared with; None for a metric that stands alone."""
    samples: dict[str, list[list[Number]]]
    """Side → pair → what was measured there, in order."""
    value: Number | None
    """The candidate's median over the pairs that count."""
    reason: str = ""
    """Why there is no value."""
    summary: dict[str, Summary] = {}

    @property
    def key(self) -> str:
        return f"{self.id}/{self.case}" if self.case else self.id

    @model_validator(mode="after")
    def _null_has_a_reason(self) -> Self:
        if (self.value is None) != bool(self.reason):
            raise ValueError(f"{self.key}: a value that is null has a reason, and only such a one")
        return self


class Condition(Strict):
    """One rule that the run had to keep to be judged at all."""

    id: str
    value: Number
    limit: Number
    ok: bool


class Verdict(Strict):
    """What a judge said of one metric."""

    id: str
    case: str = ""
    role: Role
    verdict: VerdictWord
    message: str
    """Says why, with the numbers."""
    ratio: Number | None = None
    """Candidate / base."""
    ci: tuple[Number, Number] | None = None
    """One-sided bounds of the ratio, each at the look's alpha."""
    pairs: int = 0
    p_value: Number | None = None
    q_value: Number | None = None
    """The p-value after Benjamini and Hochberg's correction over all metrics of the benchmark."""

    @property
    def key(self) -> str:
        return f"{self.id}/{self.case}" if self.case else self.id


class Comparison(Strict):
    """A judge's answer; the file that measured has none."""

    alpha: float
    verdicts: list[Verdict]


class Attachment(Strict):
    """A file beside this one."""

    path: str
    sha256: str
    type: str


class Results(Strict):
    """The whole file."""

    schema_: Literal["seatrial.bench/v1"] = Field(alias="schema")
    run: Run
    subject: Subject
    env: Environment
    config: dict[str, str | int | float | bool]
    """What the benchmark was told. Runs that differ in it are not compared."""
    pairs: list[Pair]
    metrics: list[Measured]
    validity: list[Condition]
    comparison: Comparison | None = None
    attachments: list[Attachment] = []

    @model_validator(mode="after")
    def _samples_fit_pairs(self) -> Self:
        for metric in self.metrics:
            for side, lists in metric.samples.items():
                if len(lists) != len(self.pairs):
                    raise ValueError(
                        f"{metric.key}, side {side}: {len(lists)} lists of samples for "
                        f"{len(self.pairs)} pairs"
                    )
        keys = [metric.key for metric in self.metrics]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"metrics given twice: {', '.join(twice)}")
        return self

    @property
    def valid(self) -> bool:
        return all(entry.ok for entry in self.validity)

    def metric(self, key: str) -> Measured | None:
        return next((entry for entry in self.metrics if entry.key == key), None)

    def to_json(self) -> str:
        return self.model_dump_json(by_alias=True, indent=1) + "\n"

    def write(self, path: Path) -> None:
        """Write the file whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(path.suffix + ".part")
        unfinished.write_text(self.to_json())
        unfinished.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Results":
        """The file's content.

        Raises:
            BenchmarkError: it is not there, or is no such file.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise BenchmarkError(
                f"{path} cannot be read: {error.strerror}", "give a file that `seatrial bench` wrote"
            ) from error
        except ValidationError as wrong:
            raise BenchmarkError(
                f"{path} is no {SCHEMA} file:\n{complaints(wrong)}", "measure again with `seatrial bench`"
            ) from wrong


def counting(pairs: Sequence[Pair], lists: Sequence[Sequence[float]]) -> tuple[Floats, list[int], Floats]:
    """Of the pairs that count: the median of each, its block, and all samples."""
    used = [(pair, own) for pair, own in zip(pairs, lists, strict=True) if own and not pair.discarded]
    middles = np.array([np.median(own) for _, own in used], dtype=np.float64)
    every = np.concatenate([np.asarray(own, dtype=np.float64) for _, own in used] or [np.array([])])
    return middles, [pair.block for pair, _ in used], every


def complaints(wrong: ValidationError) -> str:
    """One line a complaint: where, and what is wrong with what was given."""
    lines = []
    for entry in wrong.errors(include_url=False, include_context=False):
        where = ".".join(str(part) for part in entry["loc"]) or "the whole"
        lines.append(f"  {where}: {entry['msg']} (got {short(entry['input'])})")
    return "\n".join(lines)


def short(given: Any, limit: int = 60) -> str:
    text = repr(given)
    return text if len(text) <= limit else f"{text[:limit]}…"
