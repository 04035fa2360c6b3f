"""How long work tells what it is doing (the same shape as the progress of the local cluster, which is not
imported).
"""

from typing import Protocol


class Progress(Protocol):
    """Told of each step of long work."""

    def begin(self, step: str, expected_seconds: float | None = None) -> None:
        """A step starts."""

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
