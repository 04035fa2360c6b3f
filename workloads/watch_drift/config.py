"""What is watched, against which months, and from when on a difference is one."""

from dataclasses import dataclass, fields

from workloads.common import HopelessError
from workloads.watch_drift.detectors import OF_DAYS
from workloads.watch_drift.verdicts import Limits
from workloads.watch_drift.windows import WINDOWS, Windows


@dataclass(frozen=True)
class WatchDrift:
    """One watch. The values of `Limits` stand here too, so that `--set` reaches them."""

    name: str = "flights"
    """Of the watch: its table in the lake, its reference in the object store."""
    catalog: str = "iceberg"
    schema: str = "nycflights13"
    first_reference: int = 1
    last_reference: int = 6
    """The months that the model was trained on; what is usual between them is no drift."""
    first_watched: int = 7
    last_watched: int = 12
    """The months that are compared with them. Two windows of these without a flight, at their end, are a feed
    that starves."""
    window: str = "month"
    """What is judged at a time: `month`, or `day`, of which the newest 31 with flights."""
    model: str = ""
    """A registered model whose predictions are watched too, for example `delay-classifier`."""
    version: str = ""
    """Of the model; without it the newest."""
    predictions: str = ""
    """A table beside the flights with scores as they were given, in the place of a model that is asked anew:
    `score` by month, day, sched_dep_time, carrier, flight, origin and dest."""
    serves: str = "delay"
    """The name under which the watched model is served: the label `model` of metrics and alerts, by which the
    reaction knows what is to be trained anew. Without it they have none."""
    detector: str = "e"
    """What follows the share of late flights day by day: `e`, `adwin`, `kswin` or `page_hinkley`; or several,
    as in `e,adwin`."""
    classifier: bool = False
    """Have a classifier tell each window from the reference by all features together that have no season. The
    reference then keeps 2000 rows of these."""
    late_minutes: int = 15
    """What the model calls late: from it come the residuals of its predictions."""
    every: float = 60.0
    """Seconds between two looks, as a Deployment."""
    feed_seconds: float = 0.0
    """Seconds in which new flights are due. Twice as long without any, and the feed starves; 0: they come
    when they come."""
    port: int = 8080
    """Of the metrics, as a Deployment."""
    report: bool = True
    """Keep a page for people in MLflow, where Evidently is installed."""
    experiment: str = "drift"
    """In MLflow."""
    least_rows: int = 200
    """A window with fewer flights is not judged."""
    level: float = Limits.level
    ks: float = Limits.ks
    wasserstein: float = Limits.wasserstein
    psi: float = Limits.psi
    unknown: float = Limits.unknown
    nulls: float = Limits.nulls
    auc: float = Limits.auc
    season: float = Limits.season

    def __post_init__(self) -> None:
        for name, fits, wanted in (
            ("name", self.name.isidentifier() and self.name.islower(), "like flights_of_may"),
            ("last_reference", self.first_reference < self.last_reference, "after first_reference"),
            ("window", self.window in WINDOWS, f"one of {', '.join(WINDOWS)}"),
            ("predictions", not (self.predictions and self.model), "empty where a model is asked anew"),
            ("last_watched", self.first_watched <= self.last_watched, "first_watched or later"),
            ("detector", {*self.detectors} <= set(OF_DAYS), f"of {', '.join(OF_DAYS)}"),
            ("every", self.every > 0, "above 0"),
            ("feed_seconds", self.feed_seconds >= 0, "at least 0"),
            ("least_rows", self.least_rows >= 50, "at least 50"),
            ("season", self.season >= 1, "at least 1"),
            ("level", 0 < self.level < 1, "from 0 to 1"),
        ):
            if not fits:
                raise HopelessError(f"setting {name} must be {wanted}, it is {getattr(self, name)!r}")

    @property
    def limits(self) -> Limits:
        return Limits(**{each.name: getattr(self, each.name) for each in fields(Limits)})

    @property
    def detectors(self) -> list[str]:
        return self.detector.split(",")

    @property
    def windows(self) -> Windows:
        return WINDOWS[self.window]

    @property
    def reference_months(self) -> list[int]:
        return list(range(self.first_reference, self.last_reference + 1))

    @property
    def watched_months(self) -> list[int]:
        return list(range(self.first_watched, self.last_watched + 1))


def reference() -> WatchDrift:
    """January to June against July to December: departure delays change in five of these six months."""
    return WatchDrift()


def tiny() -> WatchDrift:
    """Two months against one, without a page: for trying the way itself; has a table of its own."""
    return WatchDrift(
        name="flights_tiny", last_reference=2, first_watched=3, last_watched=3, every=5.0, report=False
    )
