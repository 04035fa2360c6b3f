"""What a person may choose about monitoring."""

from typing import Any

from pydantic import Field

from infra.settings_base import Resources, Settings


def Duration(default: Any) -> Any:
    """A span of time as Prometheus writes it."""
    return Field(default=default, pattern=r"^[0-9]+(ms|s|m|h|d|w|y)$")


class PrometheusSettings(Settings):
    replicas: int = Field(default=1, ge=1)
    retention: str = Duration("15d")
    """How long samples are kept."""
    volume: str = "20Gi"
    """Size of each replica's volume."""
    scrape_interval: str = Duration("30s")
    """How often targets are read and rules are looked at."""
    longest_for: str | None = Duration(None)
    """An alert does not have to hold for longer than this before it fires, whatever its rule says: those of
    components, and those of workloads that are deployed from then on."""
    resources: Resources = Resources(cpu="50m", memory="600Mi")


class AlertmanagerSettings(Settings):
    replicas: int = Field(default=1, ge=1)
    volume: str = "1Gi"
    webhook: str = Field(
        default="http://receive-alerts.workloads.svc.cluster.local/v1/alerts", pattern=r"^https?://.+"
    )
    """Where each alert and each end of one is sent: the workload `receive_alerts`, or a server that takes
    Alertmanager's webhooks. People are told besides by AlertmanagerConfigs of their own."""
    group_wait: str = Duration("30s")
    """How long a first alert waits for others of its group (same name, same namespace)."""
    group_interval: str = Duration("5m")
    """How long a group waits until what is new in it is sent."""
    repeat_interval: str = Duration("4h")
    """After how long what still fires is sent again."""
    resources: Resources = Resources(cpu="10m", memory="128Mi")


class NodeExporterSettings(Settings):
    resources: Resources = Resources(cpu="10m", memory="32Mi")
    """Of the pod on each node."""


class GrafanaSettings(Settings):
    enabled: bool = False
    """For cloud stacks: Grafana's images are not built here."""
    resources: Resources = Resources(cpu="50m", memory="384Mi")


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
    grafana: GrafanaSettings = GrafanaSettings()
    """Shows the dashboards of the components. Without it, they are drawn into the report of proofs."""
    kube_state_metrics: KubeStateMetricsSettings = KubeStateMetricsSettings()
    dcgm: DcgmSettings = DcgmSettings()
