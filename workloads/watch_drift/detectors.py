"""The change detectors, by name, behind one method: `update(surprise)` says whether it is time for an alarm.

`usual.py` makes surprises. A raw value that has a course over the day is none: see `page_hinkley`.
"""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from workloads.common import HopelessError
from workloads.watch_drift.e_detector import EDetector


class Detector(Protocol):
    """After an alarm it goes on by itself."""

    def update(self, surprise: float) -> bool: ...


class OfRiver:
    """One of river's, whose flag `drift_detected` is of the last update."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def update(self, surprise: float) -> bool:
        self.made.update(surprise)
        return bool(self.made.drift_detected)


def e_detector() -> Detector:
    """Knows that the mean of surprises is 0, which the others must learn."""
    return EDetector()


def adwin() -> Detector:
    """Compares all splits of a window that grows until it changes (Bifet and Gavaldà 2007). It goes by what
    it saw itself, so it misses what had changed before it was started.
    """
    from river.drift import ADWIN

    return OfRiver(ADWIN())


def kswin() -> Detector:
    """Compares the last 100 values with 100 of the 300 before by Kolmogorov-Smirnov (Raab 2020), so that
    it sees a change of the distribution that leaves the mean alone. It tests at each event: river's own level
    of 0.005 would raise an alarm every few hundred events by chance. It takes about a millisecond an event.
    Surprises of outcomes (0 or 1) are not for it: their distribution differs from hour to hour.
    """
    from river.drift import KSWIN

    return OfRiver(KSWIN(alpha=1e-6, window_size=400, stat_size=100, seed=13))


def page_hinkley() -> Detector:
    """Sums what lies beyond the mean so far (Page 1954). The trap: its threshold is a fixed sum, whatever the
    scale and the spread of the values, and what is above the mean for long passes it. A raw stream with a
    course over the day alarms it every other day, and surprises of outcomes some times in half a year. Use it
    where a threshold was chosen for the very stream.
    """
    from river.drift import PageHinkley

    return OfRiver(PageHinkley())


def _e_of_days() -> Detector:
    """With 1000 days between false alarms, in the mean, where days do not depend on each other; they do a
    little.
    """
    return EDetector(1000.0)


def _adwin_of_days() -> Detector:
    """Looks each day, not every 32nd."""
    from river.drift import ADWIN

    return OfRiver(ADWIN(clock=1))


def _kswin_of_days() -> Detector:
    """The last 30 days against 30 of the 90 before."""
    from river.drift import KSWIN

    return OfRiver(KSWIN(alpha=1e-4, window_size=120, stat_size=30, seed=13))


def _page_hinkley_of_days() -> Detector:
    """Its threshold is in surprises: twelve days of the largest, or as much in more days."""
    from river.drift import PageHinkley

    return OfRiver(PageHinkley(delta=0.1, threshold=12.0))


DETECTORS: dict[str, Callable[[], Detector]] = {
    "e": e_detector, "adwin": adwin, "kswin": kswin, "page_hinkley": page_hinkley,
}  # fmt: skip
"""Of events, of which there are hundreds a day."""
OF_DAYS: dict[str, Callable[[], Detector]] = {
    "e": _e_of_days, "adwin": _adwin_of_days, "kswin": _kswin_of_days, "page_hinkley": _page_hinkley_of_days,
}  # fmt: skip


def detector(name: str) -> Detector:
    """A new one, of events.

    Raises:
        HopelessError: there is none of this name.
    """
    if name not in DETECTORS:
        raise HopelessError(f"there is no detector '{name}'; there are: {', '.join(DETECTORS)}")
    return DETECTORS[name]()


def of_days(name: str, usual: Iterable[float]) -> Detector:
    """A new one, of days. Those of river's learn what is usual from the surprises of days that were so."""
    made = OF_DAYS[name]()
    if isinstance(made, OfRiver):
        for surprise in usual:
            made.update(surprise)
    return made
