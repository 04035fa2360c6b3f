"""The Prometheus adapter: what Prometheus knows of pods, as the metrics API that autoscalers read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import yaml

from infra import charts, controllers, issued, kube, patching, pods
from infra.components.scaling import patches, rights, rules
from infra.components.scaling.settings import ScalingSettings
from infra.controllers import BEARER, Upstream
from infra.upstream import Manifest

NAME = "prometheus-adapter"
GROUP = "custom.metrics.k8s.io"
_WRITTEN_FOR = "monitoring"
"""The namespace in upstream's manifests."""
_RELIST = "15s"
"""How soon a metric is known of whose first pod was just scraped."""
_REMEMBERED = "1h"
"""How long it is known of after its last."""


@dataclass(frozen=True, kw_only=True)
class ScalingInputs:
    """What other components must hand over."""

    namespace: str
    adapter: Upstream
    issuer: pulumi.Input[str]
    """Name of the Issuer of its certificate, in the same namespace."""
    prometheus_url: pulumi.Input[str]
    workloads: str
    """The namespace whose pods are scaled."""
    model_metric: str
    """What the requests a second of a model server's pod are called."""
    booking_metric: str
    """The same of the booking service's."""


class Scaling(pulumi.ComponentResource):
    metrics: pulumi.Output[list[str]]
    """What autoscalers may ask for, known once the API answers."""

    def __init__(
        self,
        name: str,
        settings: ScalingSettings,
        inputs: ScalingInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Scaling", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        child = pulumi.ResourceOptions(parent=self)
        certificate = kube.Object(issued.certificate(self._metadata(), inputs.issuer, self._names()), child)
        configuration = self._configuration()
        registered: list[Manifest] = []
        others: list[Manifest] = []
        for each in self._manifests(configuration):
            (registered if each["kind"] == "APIService" else others).append(each)
        account = {"kind": "ServiceAccount", "name": NAME, "namespace": inputs.namespace}
        made = controllers.register(
            [*others, configuration, *rights.objects(NAME, account, inputs.workloads)],
            child,
            after=[certificate],
        )
        # Last: an API that is registered and not there is missed by all who ask which kinds there are.
        asked = charts.register(registered, kube.after(child, *made.ready))
        endpoint = {"port": "https", **BEARER}
        kube.Object(pods.service_monitor(self._metadata(), pods.selector(NAME), endpoint), child)
        metrics = [inputs.model_metric, inputs.booking_metric]
        self.metrics = pulumi.Output.all(*(each.output("metadata") for each in asked)).apply(
            lambda _: metrics
        )
        self.register_outputs({"metrics": self.metrics})

    def _manifests(self, configuration: kube.Manifest) -> list[Manifest]:
        inputs, settings = self._inputs, self._settings
        told = {
            "cert-manager.io/inject-ca-from": f"{inputs.namespace}/{NAME}",
            "pulumi.com/waitFor": "condition=Available",
        }
        return charts.render(
            NAME,
            inputs.adapter.release,
            [
                patching.into_namespace(_WRITTEN_FOR, inputs.namespace),
                patches.leave_out_namespaces,
                patches.answer_for(GROUP, inputs.namespace, told),
                patching.use_images({patching.repository(inputs.adapter.image): inputs.adapter.image}),
                patching.with_resources(settings.resources),
                patches.run_with(
                    self._arguments(), NAME, configuration["metadata"]["name"], settings.replicas
                ),
                patches.restart_for(pods.configuration_hash(configuration["data"])),
                controllers.ask_soon,
                controllers.restrict,
                controllers.count_as_available_when_reachable,
                controllers.give_probes_time,
            ],
        )

    def _arguments(self) -> Sequence[pulumi.Input[str]]:
        return [
            pulumi.Output.concat("--prometheus-url=", self._inputs.prometheus_url),
            f"--metrics-relist-interval={_RELIST}",
            f"--metrics-max-age={_REMEMBERED}",
        ]

    def _configuration(self) -> kube.Manifest:
        inputs, window = self._inputs, self._settings.window
        found = [
            rules.of_pods(inputs.model_metric, "model_requests_total", "model_requests_in_flight", window),
            rules.of_pods(inputs.booking_metric, "booking_requests_total", "booking_in_flight", window),
        ]
        data = {"config.yaml": yaml.safe_dump({"rules": found}, sort_keys=False)}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": self._metadata(), "data": data}

    def _names(self) -> list[str]:
        """By which the API server asks for it."""
        return [f"{NAME}.{self._inputs.namespace}.svc"]

    def _metadata(self) -> dict[str, Any]:
        return kube.metadata(NAME, self._inputs.namespace, component=NAME)
