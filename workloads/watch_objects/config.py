"""How the cluster is watched, and when what is known of it is too old to be told."""

from dataclasses import dataclass

from workloads.common import HopelessError


@dataclass(frozen=True)
class WatchObjects:
    """The watches over the objects of a cluster."""

    port: int = 8080
    page: int = 500
    """Objects of one answer to a list; a longer list is asked for page by page."""
    watch: int = 60
    """Seconds after which the API server ends a watch, which is then taken up where it ended."""
    answers: float = 15.0
    """Seconds to wait for an answer; of a watch, beyond its end."""
    pause: float = 1.0
    """Seconds before the first try after a failure; each further one waits twice as long."""
    longest_pause: float = 30.0
    stale: float = 180.0
    """Seconds without a word from the API server after which nothing is told any more."""

    def __post_init__(self) -> None:
        for name in ("page", "watch"):
            if getattr(self, name) < 1:
                raise HopelessError(f"setting {name} must be at least 1, it is {getattr(self, name)}")
        for name in ("answers", "pause", "longest_pause"):
            if not getattr(self, name) > 0:
                raise HopelessError(f"setting {name} must be above 0, it is {getattr(self, name)}")
        # Of a quiet kind nothing may be heard for the whole of a watch.
        least = self.watch + self.answers + self.longest_pause
        if self.stale < least:
            raise HopelessError(
                f"setting stale must be at least watch + answers + longest_pause, {least:g}, "
                f"it is {self.stale:g}"
            )


def reference() -> WatchObjects:
    """A cluster of some hundred pods."""
    return WatchObjects()


def tiny() -> WatchObjects:
    """Short pages and watches, so that both ends are met: for trying the way itself."""
    return WatchObjects(page=2, watch=5)
