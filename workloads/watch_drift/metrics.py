"""What Prometheus reads of a watch: the verdicts on the window that matters now, and when it looked last."""

import time

from prometheus_client import REGISTRY, CollectorRegistry, Gauge

from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.watch import Look
from workloads.watch_drift.windows import number_of

_OWN = ("watch", "model")
"""A model without a name is no label to Prometheus."""
_OF = (*_OWN, "kind", "subject", "about")


class Metrics:
    """The series of one watch; those of things that are gone are removed."""

    def __init__(self, settings: WatchDrift, registry: CollectorRegistry = REGISTRY) -> None:
        self.own = (settings.name, settings.serves)

        def gauge(name: str, about: str, labels: tuple[str, ...] = _OWN) -> Gauge:
            return Gauge(name, about, labels, registry=registry)

        self.changed = gauge("drift_changed", "1 where the window has changed, 0 where not.", _OF)
        self.effect = gauge("drift_effect", "How large a difference is.", (*_OF, "effect"))
        self.limit = gauge("drift_limit", "Beyond which it is a change.", (*_OF, "effect"))
        self.window = gauge("drift_window", "What the verdicts are on: 7 is July, 724 its 24th day.")
        self.rows = gauge("drift_window_rows", "Its rows.")
        self.judged = gauge("drift_windows", "Windows that were judged.")
        self.windows = gauge("drift_windows_changed", "Of these, how many have changed.", _OF)
        self.starved = gauge("drift_starved", "1 where the feed brings nothing, 0 where it does.")
        self.looked = gauge("drift_look_timestamp_seconds", "When a look last came to verdicts.")
        every = gauge("drift_every_seconds", "Seconds between two looks.")
        every.labels(*self.own).set(settings.every)

    def show(self, look: Look, starving: bool) -> None:
        """Show the verdicts; `starving` is what the clock says of the feed."""
        for series in (self.changed, self.effect, self.limit, self.windows):
            series.clear()
        found = look.of_current()
        for verdict in found:
            of = (*self.own, verdict.kind, verdict.subject, verdict.about)
            self.changed.labels(*of).set(verdict.changed)
            self.windows.labels(*of).set(look.times(verdict))
            for effect, size in verdict.effects.items():
                self.effect.labels(*of, effect).set(size)
                self.limit.labels(*of, effect).set(verdict.limits[effect])
        starved = starving or any(each.changed for each in look.verdicts if each.about == "starved")
        self.starved.labels(*self.own).set(starved)
        self.window.labels(*self.own).set(number_of(look.current))
        self.rows.labels(*self.own).set(look.rows[look.current])
        self.judged.labels(*self.own).set(len(look.judged))
        self.looked.labels(*self.own).set(time.time())
