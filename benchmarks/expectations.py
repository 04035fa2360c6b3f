"""What metrics are held to: `benchmarks/expectations/<name>.yaml`, limits with the evidence for them."""

from datetime import date
from pathlib import Path
from typing import Annotated, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from benchmarks.errors import BenchmarkError
from benchmarks.results import Number, Strict, complaints

FOLDER = Path(__file__).parent / "expectations"
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Evidence(Strict):
    """Runs that a limit rests on."""

    runs: list[str] = Field(min_length=1)
    """Their ids."""
    pairs: int = Field(ge=1)
    """That counted, in all of them."""
    median: Number
    """Of the ratio candidate / base; of the value for a metric that stands alone."""
    ci: tuple[Number, Number]
    date: date
    machine: str
    """The machine class, as results name it."""


class Bounds(Strict):
    """What the candidate's value can be at all; outside it is broken, or was not measured."""

    lower: Number
    upper: Number
    because: str

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.lower >= self.upper:
            raise ValueError(f"lower ({self.lower}) is not below upper ({self.upper})")
        return self


class Expectation(Strict):
    """One metric's limit."""

    metric: str
    """Its key, for instance `coll.busbw/16MiB`."""
    ratio: Positive | None = None
    """What candidate / base is expected to be; the tier says how far it may be off."""
    exact: Number | None = None
    """What every sample is, for what has no noise."""
    bounds: Bounds | None = None
    because: str
    """Where the limit comes from."""
    evidence: tuple[Evidence, ...] = ()
    no_evidence: str = ""
    """Why there is none. A ratio without evidence warns and never fails."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.ratio is None and self.exact is None and self.bounds is None:
            raise ValueError("one of ratio, exact and bounds is needed")
        if self.ratio is not None and bool(self.evidence) == bool(self.no_evidence):
            raise ValueError("a ratio has either evidence, or no_evidence with the reason")
        return self


class Expectations(Strict):
    """One file."""

    benchmark: str
    metrics: tuple[Expectation, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        keys = [entry.metric for entry in self.metrics]
        if twice := sorted({key for key in keys if keys.count(key) > 1}):
            raise ValueError(f"expected twice: {', '.join(twice)}")
        return self

    def of(self, key: str) -> Expectation | None:
        return next((entry for entry in self.metrics if entry.metric == key), None)


def read(benchmark: str, folder: Path = FOLDER) -> Expectations:
    """The expectations of one benchmark.

    Raises:
        BenchmarkError: there is no such file, or it is not valid.
    """
    path = folder / f"{benchmark}.yaml"
    try:
        found = Expectations.model_validate(yaml.safe_load(path.read_text()))
    except OSError as error:
        raise BenchmarkError(
            f"there are no expectations of {benchmark}: {path.name}: {error.strerror}",
            "write them; docs/how-to/add-a-benchmark.md says how",
        ) from error
    except ValidationError as wrong:
        raise BenchmarkError(f"{path.name} is not valid:\n{complaints(wrong)}", "mend the file") from wrong
    except yaml.YAMLError as wrong:
        raise BenchmarkError(f"{path.name} is no YAML: {wrong}", "mend the file") from wrong
    if found.benchmark != benchmark:
        raise BenchmarkError(f"{path.name} is for '{found.benchmark}'", f"write `benchmark: {benchmark}`")
    return found
