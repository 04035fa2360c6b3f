"""Where the log goes to, how often, and what is said of the versions of models."""

import re
from dataclasses import dataclass

from workloads.common import HopelessError


@dataclass(frozen=True)
class ShipPredictions:
    """The shipping, the figures, and what is kept."""

    catalog: str = "iceberg"
    schema: str = "feedback"
    """Of the tables and views in the lake. A log that was restored from a dump goes into another one."""
    staging_catalog: str = "postgresql"
    """Trino's name for the staging database."""
    staging_schema: str = "public"
    every: float = 60.0
    """Seconds between two rounds. Each one that finds something is a commit of Iceberg, and a small file."""
    batch: int = 20_000
    """Rows, at most, of one commit."""
    tidy_every: float = 3600.0
    """Seconds between two times at which small files are made into large ones, and old snapshots dropped."""
    small_file: str = "32MB"
    """Files below that are joined."""
    snapshots: str = "1d"
    """For how long the lake can be read as it was."""
    orphans: str = "7d"
    """Files that belong to nothing are dropped when they are older: a write that is under way has such
    files.
    """
    least: int = 30
    """Outcomes below which no figure is given: of fewer, chance says more than the model."""
    window_days: float = 7.0
    """Days back, by the time of the prediction, over which the metrics are."""
    segment_members: int = 20
    """Members of a segment (airlines), at most, that metrics tell of each version: those with the most
    outcomes. Views have them all.
    """
    keep_days: float = 0.0
    """Days after which predictions whose outcome is known leave PostgreSQL, once they are in the lake and
    nobody there reads them any more; 0: they never do.
    """
    forget: int = 5_000
    """Predictions, at most, that leave PostgreSQL in one round."""
    port: int = 8080

    def __post_init__(self) -> None:
        for name in ("catalog", "schema", "staging_catalog", "staging_schema"):
            if not re.fullmatch("[a-z][a-z0-9_]*", getattr(self, name)):
                raise HopelessError(
                    f"setting {name} must be a plain name such as feedback, it is {getattr(self, name)}"
                )
        for name, form in (
            ("small_file", "[0-9]+(kB|MB|GB)"),
            ("snapshots", "[0-9]+[hd]"),
            ("orphans", "[0-9]+[hd]"),
        ):
            if not re.fullmatch(form, getattr(self, name)):
                raise HopelessError(f"setting {name} must be like {form}, it is {getattr(self, name)}")
        for name, fits, wanted in (
            ("every", self.every > 0, "above 0"),
            ("batch", self.batch >= 1, "at least 1"),
            ("tidy_every", self.tidy_every > 0, "above 0"),
            ("least", self.least >= 1, "at least 1"),
            ("window_days", self.window_days > 0, "above 0"),
            ("segment_members", self.segment_members >= 0, "at least 0"),
            (
                "keep_days",
                self.keep_days == 0 or self.keep_days >= self.window_days,
                "0 or at least window_days",
            ),
            ("forget", self.forget >= 1, "at least 1"),
        ):
            if not fits:
                raise HopelessError(f"setting {name} must be {wanted}, it is {getattr(self, name)}")

    @property
    def place(self) -> str:
        return f"{self.catalog}.{self.schema}"


def reference() -> ShipPredictions:
    """The lake is about a minute behind."""
    return ShipPredictions()


def tiny() -> ShipPredictions:
    """Often, and little at once: for trying the way itself."""
    return ShipPredictions(every=2.0, batch=50, least=5, schema="feedback_tiny")
