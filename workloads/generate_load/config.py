"""The settings of a load: whose values `--set` changes."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GenerateLoad:
    """What the plan of a run is made of (plan.py says what each means)."""

    url: str = "https://booking.platform.test/v1/quotes"
    connect: str = "gateway.platform-serving.svc.cluster.local:443"
    rate: float = 20.0
    seconds: float = 60.0
    requests: int = 0
    """0: as many as are due in that time."""
    arrival: str = "poisson"
    seed: int = 13
    connections: int = 32
    timeout: float = 5.0
    warm_up: float = 5.0
    method: str = "POST"
    id_header: str = "x-request-id"
    count_header: str = ""
    key_header: str = "x-api-key"
    """The header that carries the key of the tenant; empty: none is sent."""
    key_variable: str = "GATEWAY_API_KEY"
    """The environment variable that holds it."""
    control: bool = True
    """Whether the generator is measured against an echo afterwards (control.py)."""


def reference() -> GenerateLoad:
    """20 requests a second for a minute: enough for a p99, and no strain for two cores."""
    return GenerateLoad()


def tiny() -> GenerateLoad:
    """50 requests in ten seconds, for trying the way itself."""
    return GenerateLoad(rate=5.0, seconds=10.0, warm_up=0.0, control=False)
