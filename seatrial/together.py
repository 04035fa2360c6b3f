"""Several pieces of work at once, where each leaves processors idle that another can use."""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import Any


def together(*works: Callable[[], Any]) -> list[Any]:
    """Do all of `works`, each in a thread of its own; what they return, in their order.

    The first error is raised at once, while the others still work: it is meant to end this process, and with
    it whatever program they have started.
    """
    done: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()

    def do(index: int, work: Callable[[], Any]) -> None:
        try:
            done.put((index, work(), None))
        except BaseException as error:
            done.put((index, None, error))

    for index, work in enumerate(works):
        # A daemon: who is told of the error, or presses Ctrl-C, does not wait for the rest.
        Thread(target=do, args=(index, work), daemon=True).start()
    results: list[Any] = [None] * len(works)
    for _ in works:
        index, result, error = done.get()
        if error is not None:
            raise error
        results[index] = result
    return results
