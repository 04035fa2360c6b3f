"""How long work tells what it is doing; the command line draws it, a test may collect it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Told of each step of long work."""

    def begin(self, step: str, expected_seconds: float | None = None) -> None:
        """A step starts; `expected_seconds` is what it took when it was measured, where that is known."""

    def end(self, step: str, note: str = "") -> None:
        """The step is done."""

    def say(self, line: str) -> None:
        """Something worth a line of its own."""


class Silent:
    """Progress that nobody watches."""

    def begin(self, step: str, expected_seconds: float | None = None) -> None:
        pass

    def end(self, step: str, note: str = "") -> None:
        pass

    def say(self, line: str) -> None:
        pass


@contextmanager
def step(progress: Progress, name: str, expected_seconds: float | None = None) -> Iterator[None]:
    """Report `name` as one step around a block; a step that raises is not reported as ended."""
    progress.begin(name, expected_seconds)
    yield
    progress.end(name)
