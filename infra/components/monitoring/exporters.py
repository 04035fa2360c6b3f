"""What tells Prometheus of things that have no metrics of their own: nodes, objects, GPUs."""

from dataclasses import dataclass

import pulumi

from infra import charts
from infra.components.monitoring import gpus, nodes, objects
from infra.components.monitoring.settings import MonitoringSettings

OBJECTS = objects.NAME
"""The account under which objects are watched."""


@dataclass(frozen=True, kw_only=True)
class ExportersInputs:
    """What other components must hand over."""

    namespace: str
    node_image: str
    objects_image: str | None
    """Of kube-state-metrics; none where something else tells the same."""
    gpus_image: str | None
    """Of dcgm-exporter; none where it is not wanted."""


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
        made = [
            *nodes.objects(inputs.namespace, inputs.node_image, settings.node_exporter.resources),
            *objects.objects(inputs.namespace, inputs.objects_image, settings.kube_state_metrics),
        ]
        if inputs.gpus_image:
            made += gpus.objects(inputs.namespace, inputs.gpus_image, settings.dcgm)
        charts.register(made, child)
        self.register_outputs({})
