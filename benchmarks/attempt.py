"""What rank 0 of one attempt of a training printed, with the time at which each line came."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from benchmarks.errors import BenchmarkError

KEPT = re.compile(r" (began|resumed|checkpoint|slowest rank|epoch|read) ")
"""The lines that say how far it is."""
PAIR = re.compile(r"(\w+)=(\S+)")


@dataclass(frozen=True)
class Attempt:
    """Times are seconds since 1970."""

    lines: list[str]
    container: float
    """When the container was started; 0 until the attempt has begun."""
    parts: dict[str, float]
    """Seconds of each part from the container's start to the end of the first steps, in order."""
    resumed: int
    """The step that it went on from."""
    checkpoints: list[tuple[float, int]]
    """When a state of which step was taken."""

    @classmethod
    def of(cls, printed: list[str]) -> "Attempt":
        """From the lines of a log that begin with their times."""
        lines = [line for line in printed if KEPT.search(line)]
        parts: dict[str, float] = {}
        resumed, states = 0, []
        for line in lines:
            told = dict(PAIR.findall(line))
            if " began " in line:
                parts = {name: number(value, line) for name, value in told.items()}
            elif " resumed " in line:
                resumed = int(told["step"])
            elif " checkpoint " in line and told.keys() == {"step"}:
                states.append((time_of(line), int(told["step"])))
        return cls(lines, parts.pop("container", 0.0), parts, resumed, states)

    @property
    def learns_since(self) -> float:
        """When its first steps were done; 0 until they are."""
        return self.container + sum(self.parts.values()) if self.parts else 0.0

    @property
    def pace(self) -> float | None:
        """Seconds a step, over what it has kept; None before the first checkpoint."""
        if not self.checkpoints:
            return None
        (at, step) = self.checkpoints[-1]
        return (at - self.learns_since) / max(step - self.resumed, 1)

    def has_come_to(self, step: int, now: float) -> bool:
        """Whether it is at the step now, as far as its pace tells; with step 0 whether it has begun."""
        if not step or not self.pace:
            return bool(self.parts) and not step
        at, kept = self.checkpoints[-1]
        return kept + (now - at) / self.pace >= step

    def state_taken(self, step: int) -> float | None:
        """When the state of this step was taken in this attempt, by its pace if it was taken after the log
        was read; None where it is older than the attempt.
        """
        if not self.checkpoints:
            return None
        at, last = self.checkpoints[-1]
        if step > last:
            return at + (step - last) * (self.pace or 0.0)
        return next((at for at, kept in reversed(self.checkpoints) if kept == step), None)


def time_of(line: str) -> float:
    """2026-01-02T03:04:05.123456789Z; Python knows microseconds."""
    stamp = line.split(" ", 1)[0]
    whole, _, fraction = stamp.removesuffix("Z").partition(".")
    try:
        return datetime.fromisoformat(f"{whole}+00:00").timestamp() + float(f"0.{fraction or 0}")
    except ValueError as error:
        raise BenchmarkError(
            f"a line of a log does not begin with its time: {line[:80]}", "measure again"
        ) from error


def number(text: str, line: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise BenchmarkError(f"'{text}' is no number, in: {line[:200]}", "measure again") from error


def told(record: dict[str, Any]) -> Attempt:
    """The attempt that a record of kind `attempt` holds."""
    return Attempt.of(record["log"])
