"""What tells Prometheus of things that have no metrics of their own: nodes."""

from dataclasses import dataclass

import pulumi

from infra import charts
from infra.components.monitoring import nodes
from infra.components.monitoring.settings import MonitoringSettings


@dataclass(frozen=True, kw_only=True)
class ExportersInputs:
    """What other components must hand over."""

    namespace: str
    node_image: str


class Exporters(pulumi.ComponentResource):
    """Nothing waits for it."""

    def __init__(
        self,
        name: str,
        settings: MonitoringSettings,
        inputs: ExportersInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Exporters", name, {}, opts)
        child = pulumi.ResourceOptions(parent=self)
        charts.register(
            nodes.objects(inputs.namespace, inputs.node_image, settings.node_exporter.resources), child
        )
        self.register_outputs({})
