"""The settings of the receiver: how much it keeps, and when silence is an alarm."""

from dataclasses import dataclass

from workloads.common import HopelessError


@dataclass(frozen=True)
class ReceiveAlerts:
    """What is kept, and how the heartbeat is judged."""

    folder: str = "/data"
    """Where the file of alerts is."""
    keep: int = 50_000
    """Entries; the oldest go."""
    heartbeat: str = "Watchdog"
    """The alert that always fires: as long as it arrives, all that is between a rule and here works."""
    silence_seconds: float = 180.0
    """Without the heartbeat for so long, the watching itself is taken for dead."""
    notify_url: str = ""
    """Where that is told, by a POST as Alertmanager makes it; someone outside of the cluster."""
    port: int = 8080

    def __post_init__(self) -> None:
        if self.keep < 1:
            raise HopelessError(f"setting keep must be at least 1, it is {self.keep}")
        if not self.silence_seconds > 0:
            raise HopelessError(f"setting silence_seconds must be more than 0, it is {self.silence_seconds}")
        if self.notify_url and not self.notify_url.startswith(("http://", "https://")):
            raise HopelessError(f"setting notify_url must be a http(s) address, it is '{self.notify_url}'")


def reference() -> ReceiveAlerts:
    """For the times at which Alertmanager repeats the heartbeat unless a stack says otherwise."""
    return ReceiveAlerts()


def tiny() -> ReceiveAlerts:
    """For trying it: silence is noticed soon, and little is kept."""
    return ReceiveAlerts(keep=1000, silence_seconds=60.0)
