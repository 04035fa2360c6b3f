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


class NodeExporterSettings(Settings):
    resources: Resources = Resources(cpu="10m", memory="32Mi")
    """Of the pod on each node."""


class KubeStateMetricsSettings(Settings):
    enabled: bool = True
    """Its image is not built here: `local` does without, and `seatrial up` deploys `watch_objects` there."""
    resources: Resources = Resources(cpu="10m", memory="128Mi")


class DcgmSettings(Settings):
    enabled: bool = False
    """For cloud stacks whose nodes have GPUs and no dcgm-exporter of NVIDIA's operator."""
    runtime_class: str | None = None
    """RuntimeClass of NVIDIA's container runtime, where that is not the nodes' default."""
    resources: Resources = Resources(cpu="100m", memory="512Mi")


class MonitoringSettings(Settings):
    prometheus: PrometheusSettings = PrometheusSettings()
    alertmanager: AlertmanagerSettings = AlertmanagerSettings()
    operator: Resources = Resources(cpu="20m", memory="192Mi")
    """The operator's own container."""
    node_exporter: NodeExporterSettings = NodeExporterSettings()
    kube_state_metrics: KubeStateMetricsSettings = KubeStateMetricsSettings()
    dcgm: DcgmSettings = DcgmSettings()
