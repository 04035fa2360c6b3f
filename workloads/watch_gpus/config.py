"""Where it answers."""

from dataclasses import dataclass

from workloads.common import HopelessError


@dataclass(frozen=True)
class WatchGpus:
    """The driver is asked once a scrape, so there is nothing to say of how often."""

    port: int = 9400

    def __post_init__(self) -> None:
        if not 0 <= self.port < 65536:
            raise HopelessError(f"setting port must be from 0 to 65535, it is {self.port}")


def reference() -> WatchGpus:
    """The port of dcgm-exporter."""
    return WatchGpus()


def tiny() -> WatchGpus:
    """Any free port: for trying the way itself."""
    return WatchGpus(port=0)
