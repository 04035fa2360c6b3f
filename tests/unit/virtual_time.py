"""An event loop with a time of its own, so that what depends on time can be asserted to the millisecond.

Time stands still while there is anything to do, but for `TURN` a turn, and else jumps to the next timer.
What is sent through a Unix socket is there at once, so programs of one process may talk in it.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

TURN = 1e-5
Result = TypeVar("Result")


class Selector(selectors.SelectSelector):
    """Never waits: it lets the time pass."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self.loop.pass_time(TURN)
        elif timeout is None:
            raise RuntimeError("nothing is to be done, now or later: the programs wait for each other")
        else:
            self.loop.pass_time(timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = 0.0
        selector = Selector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self._virtual

    def pass_time(self, seconds: float) -> None:
        """As when the process is not given the processor for so long."""
        self._virtual += seconds


def run(work: Coroutine[Any, Any, Result]) -> Result:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


def starve(every: float, seconds: float) -> None:
    """From now on the running loop stands still for so long, again and again."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)

    def still() -> None:
        loop.pass_time(seconds)
        loop.call_later(every, still)

    loop.call_later(every, still)
