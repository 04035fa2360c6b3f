"""What Prometheus reads: how far the shipping is, and how good each version is over the window, as a whole
and on segments.
"""

import time
from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import GaugeMetricFamily

from workloads.ship_predictions.quality import ALL, Figures, wilson

VERSION = ("model", "version")
GAUGES = {
    "live_predictions": "Predictions of the window.",
    "live_outcomes": "Those of them whose outcome is known: what the other figures rest on.",
    "live_outcomes_before_prediction": "Outcomes that, by the clocks, were known before their prediction.",
    "live_accuracy": "Share of decisions that were right.",
    "live_accuracy_low": "Lower end of its Wilson interval at 95 %.",
    "live_accuracy_high": "Upper end of it.",
    "live_precision": "Share of the flights called late that were late.",
    "live_recall": "Share of the late flights that were called late.",
    "live_brier_score": "Mean squared difference of score and outcome.",
    "live_calibration_error": "Mean difference of score and share late, by tenths of the score.",
    "live_registered_accuracy": "Accuracy on the test set, as the registry says.",
}
SEGMENT = (*VERSION, "segment", "member")
OF_SEGMENTS = {
    "live_segment_outcomes": "Known outcomes of the window, of a member of a segment.",
    "live_segment_accuracy": "Share of decisions about them that were right.",
    "live_segment_precision": "Share of those of them called late that were late.",
    "live_segment_calibration_error": "Mean difference of score and share late, by tenths of the score.",
}
"""Under names of their own: whoever adds `live_outcomes` up over versions counts each outcome once."""


class Telemetry:
    """All that is told; a collector of its own, so that a version that left the window is told no more."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.rows = Counter(
            "feedback_rows_shipped", "Rows that went into the lake, by table.", ["table"], registry=registry
        )
        self.failures = Counter("feedback_failed_rounds", "Rounds that were not done.", registry=registry)
        self.forgotten = Counter(
            "feedback_rows_forgotten", "Predictions that left PostgreSQL.", registry=registry
        )
        self.success = Gauge(
            "feedback_last_success_timestamp_seconds", "When a round was done last.", registry=registry
        )
        lag = Gauge(
            "feedback_lag_seconds",
            "Age of the oldest row that is not surely in the lake; it grows while nothing can be shipped.",
            registry=registry,
        )
        self._lag, self._seen = 0.0, time.monotonic()
        lag.set_function(lambda: self._lag + time.monotonic() - self._seen)
        self._figures: list[Figures] = []
        self._registered: Mapping[tuple[str, str], float | None] = {}
        registry.register(self)

    def shipped(self, rows: Mapping[str, int], lag: float) -> None:
        """A round is done: these rows were shipped, and the oldest one that was not is so old (seconds)."""
        for table, count in rows.items():
            self.rows.labels(table).inc(count)
        self._lag, self._seen = lag, time.monotonic()
        self.success.set_to_current_time()

    def judged(self, figures: list[Figures], registered: Mapping[tuple[str, str], float | None]) -> None:
        """The figures of each version and of its segments; the registered accuracy by model and version,
        where it is known.
        """
        self._figures, self._registered = figures, registered

    def collect(self) -> Iterable[GaugeMetricFamily]:
        families = {name: GaugeMetricFamily(name, about, labels=VERSION) for name, about in GAUGES.items()}
        families |= {
            name: GaugeMetricFamily(name, about, labels=SEGMENT) for name, about in OF_SEGMENTS.items()
        }
        for figures in self._figures:
            labels = [figures.model, figures.version]
            if figures.segment == ALL:
                values = _values(figures, self._registered.get((figures.model, figures.version)))
            else:
                labels += [figures.segment, figures.member]
                values = _values_of_segment(figures)
            for name, value in values.items():
                if value is not None:
                    families[name].add_metric(labels, value)
        return families.values()


def _values_of_segment(figures: Figures) -> dict[str, float | None]:
    return {
        "live_segment_outcomes": figures.known,
        "live_segment_accuracy": figures.accuracy,
        "live_segment_precision": figures.precision,
        "live_segment_calibration_error": figures.calibration_error,
    }


def _values(figures: Figures, registered: float | None) -> dict[str, float | None]:
    low, high = wilson(figures.hits, figures.known) if figures.accuracy is not None else (None, None)
    return {
        "live_predictions": figures.n,
        "live_outcomes": figures.known,
        "live_outcomes_before_prediction": figures.known_before,
        "live_accuracy": figures.accuracy,
        "live_accuracy_low": low,
        "live_accuracy_high": high,
        "live_precision": figures.precision,
        "live_recall": figures.recall,
        "live_brier_score": figures.brier,
        "live_calibration_error": figures.calibration_error,
        "live_registered_accuracy": registered,
    }


def serve(port: int, registry: Any) -> None:
    """Answer Prometheus from now on, in a thread."""
    from prometheus_client import start_http_server

    start_http_server(port, registry=registry)
