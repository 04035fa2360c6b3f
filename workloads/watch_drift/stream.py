"""Several streams of surprises, a detector for each, and a clock that notices when nothing comes."""

from collections.abc import Callable
from dataclasses import dataclass, field

from workloads.watch_drift.detectors import Detector, detector


@dataclass
class Stream:
    """One stream: its detector, and what came of it."""

    detector: Detector
    events: int = 0
    alarms: list[int] = field(default_factory=list)
    """The number of the event at each alarm; the first event is 1."""

    def update(self, surprise: float) -> bool:
        self.events += 1
        alarm = self.detector.update(surprise)
        if alarm:
            self.alarms.append(self.events)
        return alarm


class Streams:
    """Streams by name, made when their first event comes.

    `window` is the seconds in which events are due. After two without any the feed starves: a detector that
    gets nothing is as silent as one that sees no change.
    """

    def __init__(self, window: float, began: float, make: Callable[[], Detector] | None = None) -> None:
        self.window = window
        self.last = began
        self.make = make or (lambda: detector("e"))
        self.streams: dict[str, Stream] = {}

    def update(self, name: str, surprise: float, at: float) -> bool:
        """An event at a time in seconds; whether it raises an alarm."""
        self.last = max(self.last, at)
        return self.streams.setdefault(name, Stream(self.make())).update(surprise)

    def starved(self, now: float) -> bool:
        """Whether two windows passed without an event of any stream."""
        return now - self.last > 2 * self.window
