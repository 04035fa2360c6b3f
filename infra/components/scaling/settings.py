"""What a person may choose about scaling."""

from pydantic import Field

from infra.settings_base import Resources, Settings


class ScalingSettings(Settings):
    replicas: int = Field(default=1, ge=1)
    """Pods of the adapter. While none answers, pods stay as many as they are."""
    window: str = Field(default="30s", pattern=r"^[0-9]+(s|m)$")
    """Time over which requests a second are counted; pods are scraped every 5 seconds."""
    resources: Resources = Resources(cpu="10m", memory="128Mi")
