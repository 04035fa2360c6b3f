"""The settings of the reaction's process. What it does about which alert is in policy.yaml."""

from dataclasses import dataclass

from workloads.common import HopelessError


@dataclass(frozen=True)
class React:
    """How often it looks, and where it listens."""

    every: float = 10.0
    """Seconds between two looks at the alerts; one that comes in is looked at at once."""
    start_seconds: float = 60.0
    """How long a start waits for the database."""
    port: int = 8080

    def __post_init__(self) -> None:
        for name in ("every", "start_seconds"):
            if not getattr(self, name) > 0:
                raise HopelessError(f"setting {name} must be more than 0, it is {getattr(self, name)}")


def reference() -> React:
    """Looks every ten seconds."""
    return React()
