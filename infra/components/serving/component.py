"""KServe: versions of models as InferenceServices, each a Deployment and a Service of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import charts, controllers, kube, patching, pods
from infra.components.serving import patches, rights, runtimes
from infra.components.serving.settings import ServingSettings
from infra.controllers import Upstream
from infra.releases import Release
from infra.upstream import Manifest

NAME = "kserve"
MODELS = "models"
"""Name of the monitor of all served models."""
RUNTIME_IMAGES = ("tensorflow-serving", "kserve-tritonserver", "vllmserver")
"""What upstream's runtimes that are taken name as their images."""
_STORE_KEYS = {
    "AWS_ACCESS_KEY_ID": "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY": "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL": "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION": "AWS_REGION",
}
"""What the storage initializer reads → the key in the Secret of workloads."""


@dataclass(frozen=True, kw_only=True)
class ModelServingInputs:
    """What other components must hand over."""

    namespace: str
    definitions: Release
    """KServe's kinds, which are a chart of their own."""
    kserve: Upstream
    storage_image: str
    issuer: pulumi.Input[str]
    """Of cert-manager, in the same namespace: signs the webhooks' certificate."""
    workloads: str
    """The namespace that models are served in."""
    access_secret: str
    """Secret there with the account of the object store."""
    runtime: str
    """Name of the runtime of MLflow models."""
    upstream_runtimes: Release
    runtime_images: Mapping[str, str]
    """For those of them that `settings` wants: what upstream's runtimes name → the image."""


class ModelServing(pulumi.ComponentResource):
    runtime: pulumi.Output[str]
    """The runtime's name, known once InferenceServices are admitted."""

    def __init__(
        self,
        name: str,
        settings: ServingSettings,
        inputs: ModelServingInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:ModelServing", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        child = pulumi.ResourceOptions(parent=self)
        definitions = charts.register(self._definitions(), child)
        defined = pulumi.ResourceOptions(parent=self, depends_on=definitions)
        made = controllers.register([*self._chart(), *rights.roles()], defined)
        kube.Object(self._monitor_of_kserve(), child)
        kube.Object(self._monitor_of_models(), child)
        # KServe's webhook judges them, so it must serve.
        served = pulumi.ResourceOptions(parent=self, depends_on=made.ready)
        runtime, *_ = charts.register([runtimes.mlflow(inputs.runtime), *self._upstream_runtimes()], served)
        self.runtime = runtime.output("metadata")["name"]
        self.register_outputs({"runtime": self.runtime})

    def _definitions(self) -> list[Manifest]:
        release = self._inputs.definitions
        return charts.render("kserve-crd", release, [patching.leave_out_descriptions])

    def _chart(self) -> list[Manifest]:
        inputs, upstream = self._inputs, self._inputs.kserve
        env = pods.secret_env({name: (inputs.access_secret, key) for name, key in _STORE_KEYS.items()})
        return charts.render(
            NAME,
            upstream.release,
            [
                patches.leave_out_the_proxy,
                patching.use_images({patching.repository(upstream.image): upstream.image}),
                patching.with_resources(self._settings.resources),
                patches.lead_alone,
                controllers.ask_soon,
                patches.signed_by(inputs.issuer),
                patches.download_with(inputs.storage_image, runtimes.UID, env),
                controllers.leave_out_the_empty_certificate,
                controllers.restrict,
                controllers.count_as_available_when_reachable,
            ],
            values={"kserve": self._values()},
            namespace=inputs.namespace,
        )

    def _values(self) -> dict[str, Any]:
        controller = _split(self._inputs.kserve.image)
        return {
            "storage": _split(self._inputs.storage_image),
            # A server of a model has no business with the API.
            "security": {"autoMountServiceAccountToken": False},
            "controller": {
                **controller,
                "imagePullPolicy": "IfNotPresent",
                "deploymentMode": "Standard",
                "metricsBindAddress": "0.0.0.0",
                "metricsBindPort": str(patches.METRICS),
                "gateway": {
                    # Routes are the platform's own: KServe's know no weights between versions.
                    "disableIngressCreation": True,
                    # So the address that it tells of is the Service's.
                    "domain": "svc.cluster.local",
                    "domainTemplate": "{{ .Name }}-predictor.{{ .Namespace }}.{{ .IngressDomain }}",
                },
            },
        }

    def _upstream_runtimes(self) -> list[Manifest]:
        if not self._settings.upstream_runtimes:
            return []
        run = patches.run_images(self._inputs.runtime_images, runtimes.UID)
        return charts.render("kserve-runtimes", self._inputs.upstream_runtimes, [run])

    def _monitor_of_kserve(self) -> kube.Manifest:
        metadata = kube.metadata(NAME, self._inputs.namespace, component=NAME)
        labels = {**pods.selector(NAME), "controller-tools.k8s.io": "1.0"}
        return pods.service_monitor(metadata, labels, {"port": "metrics"})

    def _monitor_of_models(self) -> kube.Manifest:
        """Pods, not Services: each tells its own figures, and a version may have none ready."""
        served = {"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}
        spec = {
            "selector": {"matchExpressions": [served]},
            "podMetricsEndpoints": [{"port": "http", "path": "/metrics", "interval": "5s"}],
        }
        metadata = kube.metadata(MODELS, self._inputs.workloads, component="serving")
        return kube.object_of("monitoring.coreos.com/v1", "PodMonitor", metadata, spec)


def _split(image: str) -> dict[str, str]:
    """An image as charts want it; a digest goes with the tag."""
    name = patching.repository(image)
    return {"image": name, "tag": image.removeprefix(f"{name}:")}
