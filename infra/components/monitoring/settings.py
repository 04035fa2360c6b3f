"""What a person may choose about monitoring."""

from pydantic import Field

from infra.settings_base import Resources, Settings


class PrometheusSettings(Settings):
    replicas: int = Field(default=1, ge=1)
    retention: str = Field(default="15d", pattern=r"^[0-9]+(ms|s|m|h|d|w|y)$")
    """How long samples are kept."""
    volume: str = "20Gi"
    """Size of each replica's volume."""
    scrape_interval: str = Field(default="30s", pattern=r"^[0-9]+(ms|s|m|h|d|w|y)$")
    resources: Resources = Resources(cpu="50m", memory="600Mi")


class AlertmanagerSettings(Settings):
    replicas: int = Field(default=1, ge=1)
    volume: str = "1Gi"
    resources: Resources = Resources(cpu="10m", memory="128Mi")


class GrafanaSettings(Settings):
    enabled: bool = False
    """For cloud stacks: Grafana's images are not built here."""
    resources: Resources = Resources(cpu="50m", memory="384Mi")


class MonitoringSettings(Settings):
    prometheus: PrometheusSettings = PrometheusSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    operator: Resources = Resources(cpu="20m", memory="192Mi")
    """The operator's own container."""
    grafana: GrafanaSettings = GrafanaSettings()
    """Shows the dashboards of the components. Without it, they are drawn into the report of proofs."""
