"""What a person sees of long work: live lines on a terminal, plain lines in a log."""

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress as Bars
from rich.progress import ProgressColumn, SpinnerColumn, Task, TaskID, TextColumn
from rich.text import Text

LOG_WIDTH = 120
"""Columns of tables where no terminal says how wide it is."""


def _console(stderr: bool) -> Console:
    made = Console(stderr=stderr, highlight=False, soft_wrap=True)
    if not made.is_terminal:
        made.width = LOG_WIDTH
    return made


out = _console(stderr=False)
err = _console(stderr=True)


def duration(seconds: float) -> str:
    """`seconds` as a person says it: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 5 min`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


class _Elapsed(ProgressColumn):
    """How long a step has run, and how long it took when it was measured."""

    def render(self, task: Task) -> Text:
        text = duration(task.elapsed or 0)
        if task.total:
            text += f" of about {duration(task.total)}"
        return Text(text, style="cyan")


class ConsoleProgress:
    """`local.progress.Progress` on a console; usable as a context manager around the work.

    `planned_seconds` is what all steps together are expected to take; with it each step says the time left.
    """

    def __init__(self, console: Console = out, planned_seconds: float | None = None) -> None:
        self.console = console
        self.left = planned_seconds
        self._started: dict[str, tuple[float, float | None, TaskID | None]] = {}
        self._bars = (
            Bars(
                SpinnerColumn(), TextColumn("{task.description}"), _Elapsed(), console=console, transient=True
            )
            if console.is_terminal
            else None
        )
        self.seconds: dict[str, float] = {}
        """How long each finished step took."""

    def __enter__(self) -> "ConsoleProgress":
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()

    def begin(self, step: str, expected_seconds: float | None = None) -> None:
        bar = self._bars.add_task(step, total=expected_seconds) if self._bars else None
        self._started[step] = (time.monotonic(), expected_seconds, bar)
        if not self._bars:
            about = f" (about {duration(expected_seconds)}{self._left()})" if expected_seconds else ""
            self.say(f"  … {step}{about}")

    def end(self, step: str, note: str = "") -> None:
        started, expected, bar = self._started.pop(step)
        took = time.monotonic() - started
        self.seconds[step] = took
        if self._bars and bar is not None:
            self._bars.remove_task(bar)
        if self.left and expected:
            self.left = max(self.left - expected, 1.0)
        detail = f"{duration(took)}  {escape(note)}".rstrip()
        text = f"[green]✓[/green] {escape(step)}  [dim]{detail}[/dim]"
        if self._bars:
            text += f"[cyan]{self._left()}[/cyan]"
        self.console.print(text)

    def say(self, line: str) -> None:
        self.console.print(line, markup=False)
        if not self.console.is_terminal:
            sys.stdout.flush()

    def _left(self) -> str:
        return f", about {duration(self.left)} left in all" if self.left else ""
