"""What a person may choose about PostgreSQL."""

from pydantic import Field

from infra.settings_base import Resources, Settings


class PostgresqlSettings(Settings):
    volume: str = "50Gi"
    """Size of the data volume. Most storage classes let it grow later and none lets it shrink."""
    max_connections: int = Field(default=100, ge=20, le=1000)
    """Connections of all clients together."""
    shared_buffers: str = Field(default="128MB", pattern=r"^[0-9]+(MB|GB)$")
    """PostgreSQL's own cache; a quarter of the memory is usual."""
    resources: Resources = Resources(cpu="100m", memory="512Mi")
