"""The settings of the reaction's process. What it does about which alert is in policy.yaml."""

import re
from dataclasses import dataclass

from workloads.common import HopelessError


@dataclass(frozen=True)
class React:
    """How often it looks, and where it listens."""

    every: float = 10.0
    """Seconds between two looks at the alerts; one that comes in is looked at at once."""
    start_seconds: float = 60.0
    """How long a start waits for the database."""
    schema: str = "reaction"
    """Of the trail, in the database of the booking service; two installations have two."""
    port: int = 8080

    def __post_init__(self) -> None:
        for name in ("every", "start_seconds"):
            if not getattr(self, name) > 0:
                raise HopelessError(f"setting {name} must be more than 0, it is {getattr(self, name)}")
        if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", self.schema):
            raise HopelessError(f"setting schema must be a name like reaction, it is '{self.schema}'")


def reference() -> React:
    """Looks every ten seconds."""
    return React()
