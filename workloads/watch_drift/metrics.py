"""What Prometheus reads of a watch: the verdicts on the window that matters now, and when it looked last."""

import time
from collections.abc import Iterable, Iterator

from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily

from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.watch import Look
from workloads.watch_drift.windows import number_of

_OWN = ("watch", "model")
"""A model without a name is no label to Prometheus."""
_OF = (*_OWN, "kind", "subject", "about")
Sample = tuple[str, tuple[str, ...], float]
"""Name, the values of its labels after _OWN, value."""


GAUGES = {
    "drift_changed": ("1 where the window has changed, 0 where not.", _OF),
    "drift_effect": ("How large a difference is.", (*_OF, "effect")),
    "drift_limit": ("Beyond which it is a change.", (*_OF, "effect")),
    "drift_window": ("What the verdicts are on: 7 is July, 724 its 24th day.", _OWN),
    "drift_window_rows": ("Its rows.", _OWN),
    "drift_windows": ("Windows that were judged.", _OWN),
    "drift_windows_changed": ("Of these, how many have changed.", _OF),
    "drift_starved": ("1 where the feed brings nothing, 0 where it does.", _OWN),
    "drift_look_timestamp_seconds": ("When a look last came to verdicts.", _OWN),
    "drift_every_seconds": ("Seconds between two looks.", _OWN),
}


class Metrics:
    """The series of one watch: those of its last look, all of them or none, whenever Prometheus asks."""

    def __init__(self, settings: WatchDrift, registry: CollectorRegistry = REGISTRY) -> None:
        self.own = (settings.name, settings.serves)
        self.every = settings.every
        self._shown: tuple[Look, bool, float] | None = None
        registry.register(self)

    def show(self, look: Look, starving: bool) -> None:
        """Show the verdicts; `starving` is what the clock says of the feed."""
        self._shown = (look, starving, time.time())

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families = {name: GaugeMetricFamily(name, about, labels=of) for name, (about, of) in GAUGES.items()}
        for name, labels, value in self._samples():
            families[name].add_metric((*self.own, *labels), float(value))
        return families.values()

    def _samples(self) -> Iterator[Sample]:
        yield "drift_every_seconds", (), self.every
        if self._shown is None:
            return
        look, starving, at = self._shown
        for verdict in look.of_current():
            yield "drift_changed", verdict.of, verdict.changed
            yield "drift_windows_changed", verdict.of, look.times(verdict)
            for effect, size in verdict.effects.items():
                yield "drift_effect", (*verdict.of, effect), size
                yield "drift_limit", (*verdict.of, effect), verdict.limits[effect]
        starved = starving or any(each.changed for each in look.verdicts if each.about == "starved")
        yield "drift_starved", (), starved
        yield "drift_window", (), number_of(look.current)
        yield "drift_window_rows", (), look.rows[look.current]
        yield "drift_windows", (), len(look.judged)
        yield "drift_look_timestamp_seconds", (), at
