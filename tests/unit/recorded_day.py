"""A day of what rules read on a live platform: half an hour that was recorded, again and again."""

from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Any

DAY = 24 * 3600
_TIMES = ("_time_seconds", "_timestamp_seconds")

Values = list[float | None]


def inputs(recorded: dict[str, Any], seconds: int = DAY) -> list[dict[str, str]]:
    """What was recorded (`proofs.recorded`), as `input_series` of a test of promtool, from its time 0 on.

    What never falls in it, as a counter, goes on from where it was; times since 1970 are as far away as they
    were.
    """
    found = []
    for series, runs in recorded["series"].items():
        name = series.partition("{")[0]
        # The last one is where the next time begins.
        once = [value for value, times in runs for _ in range(times)][:-1]
        shift = _shift(name, once, recorded["began"], recorded["step"])
        times = -(-seconds // (len(once) * recorded["step"]))
        values = [None if value is None else shift(value, time) for time in range(times) for value in once]
        found.append({"series": series, "values": " ".join(_words(values))})
    return found


def _shift(name: str, once: Values, began: float, step: int) -> Callable[[float, int], float]:
    if name.endswith(_TIMES):
        return lambda value, time: value - began + time * len(once) * step
    known = [value for value in once if value is not None]
    rise = known[-1] - known[0] if known == sorted(known) else 0
    return lambda value, time: value + time * rise


def _words(values: Values) -> Iterator[str]:
    """In promtool's notation. A series that ends is stale at once, as Prometheus marks it."""
    there = False
    for value, same in groupby(values):
        times = len(list(same))
        if value is not None:
            yield f"{value!r}x{times - 1}" if times > 1 else repr(value)
        elif there:
            yield f"stale _x{times - 1}" if times > 1 else "stale"
        else:
            yield f"_x{times}"
        there = value is not None
