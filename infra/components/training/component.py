"""Kubeflow Trainer on JobSet, the MPI Operator, and the runtimes that TrainJobs name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import charts, controllers, kube, patching, pods, webhook_certificate
from infra.components.training import admission, patches, rights, runtimes
from infra.components.training.settings import TrainingSettings
from infra.controllers import BEARER, Controller, Upstream
from infra.secrets import GeneratedSecret
from infra.settings_base import Resources
from infra.upstream import Manifest

JOBSET, TRAINER, MPI_OPERATOR = "jobset", "kubeflow-trainer", "mpi-operator"
"""The value of `app.kubernetes.io/name` on what belongs to each."""
_TRAINER_SERVICE = "kubeflow-trainer-controller-manager"
_HEALTH, _METRICS = 8080, 8081
"""Ports of the MPI Operator; the first is fixed."""


@dataclass(frozen=True, kw_only=True)
class TrainingInputs:
    """What other components must hand over."""

    namespace: str
    jobset: Upstream
    trainer: Upstream
    mpi_operator: Upstream
    runtime: str
    """Name of the runtime for PyTorch on CPUs."""
    gpu_runtime: str
    """Name of the one with a GPU a node."""
    tensorflow_runtime: str
    """Name of the runtime for TensorFlow on CPUs."""


class Training(pulumi.ComponentResource):
    runtimes: pulumi.Output[list[str]]
    """Names of the runtimes, known once TrainJobs are admitted and run."""

    def __init__(
        self,
        name: str,
        settings: TrainingSettings,
        inputs: TrainingInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Training", name, {}, opts)
        self._inputs = inputs
        self._child = pulumi.ResourceOptions(parent=self)
        jobset = self._jobset(settings.jobset)
        # Without JobSet's kind Trainer does not start.
        trainer = self._trainer(settings.trainer, jobset.definitions)
        mpi = self._mpi_operator(settings.mpi_operator)
        charts.register(
            [
                *rights.roles(),
                *admission.policy((inputs.runtime, inputs.gpu_runtime, inputs.tensorflow_runtime)),
            ],
            self._child,
        )
        made = self._runtimes(settings, [*jobset.ready, *trainer.ready, *mpi.ready])
        self.runtimes = pulumi.Output.all(*(each.output("metadata")["name"] for each in made))
        self.register_outputs({"runtimes": self.runtimes})

    def _jobset(self, resources: Resources) -> Controller:
        upstream = self._inputs.jobset
        # Packaging writes these into the chart; said here, the source gives the same as the package.
        name = patching.repository(upstream.image)
        tag = upstream.image.removeprefix(f"{name}:")
        values = {"image": {"repository": name, "tag": tag, "pullPolicy": "IfNotPresent"}}
        objects = self._chart(JOBSET, upstream, resources, values)
        service = pods.service(
            self._metadata(JOBSET, "jobset-metrics"), pods.selector(JOBSET), {"metrics": 8443}
        )
        made = controllers.register(
            [*objects, service],
            self._child,
            self._secret("jobset-webhook-server-cert", "jobset-ca", "jobset-webhook-service"),
        )
        self._watch(JOBSET, {"port": "metrics", **BEARER})
        return made

    def _trainer(self, resources: Resources, jobset: list[kube.Object]) -> Controller:
        # The port for metrics is in the chart's Service; only the argument is missing.
        metrics = patches.serve_metrics("--metrics-bind-address=:8080", "--metrics-secure=false")
        objects = metrics(self._chart("trainer", self._inputs.trainer, resources, {}))
        secret = self._secret("kubeflow-trainer-webhook-cert", "kubeflow-trainer-ca", _TRAINER_SERVICE)
        made = controllers.register(objects, self._child, secret, jobset)
        self._watch(TRAINER, {"port": "monitoring-port"})
        return made

    def _chart(
        self, name: str, upstream: Upstream, resources: Resources, values: Mapping[str, Any]
    ) -> list[Manifest]:
        return charts.render(
            name,
            upstream.release,
            [
                patching.leave_out_descriptions,
                patching.use_images({patching.repository(upstream.image): upstream.image}),
                patching.with_resources(resources),
                controllers.leave_out_the_empty_certificate,
                controllers.restrict,
                controllers.count_as_available_when_reachable,
                controllers.give_probes_time,
            ],
            values=values,
            namespace=self._inputs.namespace,
        )

    def _mpi_operator(self, resources: Resources) -> Controller:
        upstream, namespace = self._inputs.mpi_operator, self._inputs.namespace
        objects = charts.render(
            MPI_OPERATOR,
            upstream.release,
            [
                patching.leave_out_descriptions,
                patches.leave_out_the_namespace,
                patches.leave_out_kubeflows_roles,
                patching.into_namespace("mpi-operator", namespace),
                patching.use_images({"mpioperator/mpi-operator": upstream.image}),
                patching.with_resources(resources),
                controllers.restrict,
                patches.keep_its_lease_in(namespace),
                patches.ask_for_health(_HEALTH),
                patches.serve_metrics(f"-monitoring-port={_METRICS}"),
            ],
        )
        metadata = self._metadata(MPI_OPERATOR, MPI_OPERATOR)
        service = pods.service(metadata, pods.selector(MPI_OPERATOR), {"metrics": _METRICS})
        made = controllers.register([*objects, service], self._child)
        self._watch(MPI_OPERATOR, {"port": "metrics"})
        return made

    def _secret(self, name: str, authority: str, service: str) -> kube.Object:
        """Of its entries the controller itself may renew each: the program keeps to what it made first."""
        made = webhook_certificate.make(authority, service, self._inputs.namespace)
        return GeneratedSecret(self._metadata("training", name), random=(), fixed=made, opts=self._child)

    def _watch(self, component: str, endpoint: Mapping[str, Any]) -> None:
        monitor = pods.service_monitor(
            self._metadata(component, component), pods.selector(component), endpoint
        )
        kube.Object(monitor, self._child)

    def _metadata(self, component: str, name: str) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=component)

    def _runtimes(self, settings: TrainingSettings, ready: list[kube.Object]) -> list[kube.Object]:
        """Trainer's webhook judges them, so it must serve; a change of the restart rules replaces them."""
        opts = pulumi.ResourceOptions(
            parent=self, depends_on=ready, replace_on_changes=[runtimes.RESTART_RULES]
        )
        inputs, chosen = self._inputs, settings.runtimes
        made = (
            runtimes.torch(inputs.runtime, chosen, gpu=False),
            runtimes.torch(inputs.gpu_runtime, chosen, gpu=True),
            runtimes.tensorflow(inputs.tensorflow_runtime, chosen),
        )
        return [kube.Object(each, opts) for each in made]
