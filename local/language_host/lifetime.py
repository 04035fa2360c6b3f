"""When the host and the program end: with their engine, and quietly when it interrupts them."""

import os
import signal
import threading
import time
from types import FrameType

_CHECK_SECONDS = 0.5


def end_with_parent() -> None:
    """End this process soon after its parent is gone, however that died."""
    parent = os.getppid()
    threading.Thread(target=_watch, args=(parent,), daemon=True, name="parent-watch").start()


def end_quietly_when_interrupted() -> None:
    """The engine says "enough" to its children with SIGINT: that is the normal end, not an error."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_CHECK_SECONDS)
    os._exit(1)


def _leave(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
