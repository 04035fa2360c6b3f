"""Kueue, and the queue that the workloads' jobs wait in for their part of the quota."""

import json
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import charts, controllers, kube, patching, pods, webhook_certificate
from infra.components.queueing import patches, queues, rights
from infra.components.queueing.settings import QueueingSettings
from infra.controllers import Upstream
from infra.secrets import GeneratedSecret
from infra.upstream import Manifest

NAME = "kueue"
_FRAMEWORKS = {
    "batch/job": "jobs",
    "jobset.x-k8s.io/jobset": "jobsets",
    "kubeflow.org/mpijob": "mpijobs",
    "trainer.kubeflow.org/trainjob": "trainjobs",
}
"""What is queued, by Kueue's names, and the plural of the kind."""

_LEADERSHIP = {
    "leaderElect": True,
    "resourceName": "c1f6bfd2.kueue.x-k8s.io",
    # Who cannot renew in time ends itself, and the webhooks with it: 10 seconds were too short on a busy
    # machine.
    "leaseDuration": "60s",
    "renewDeadline": "40s",
    "retryPeriod": "5s",
}


@dataclass(frozen=True, kw_only=True)
class QueueingInputs:
    """What other components must hand over."""

    namespace: str
    kueue: Upstream
    queue: str
    """Name of the queue; jobs carry it as the label `kueue.x-k8s.io/queue-name`."""
    workloads: str
    """The namespace whose jobs are queued."""


class Queueing(pulumi.ComponentResource):
    queue: pulumi.Output[str]
    """The queue's name, known once it takes jobs."""

    def __init__(
        self,
        name: str,
        settings: QueueingSettings,
        inputs: QueueingInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Queueing", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        child = pulumi.ResourceOptions(parent=self)
        made = controllers.register([*self._chart(), rights.role()], child, self._secret(child))
        monitor = {"port": "https", **controllers.BEARER}
        kube.Object(pods.service_monitor(self._metadata(NAME), pods.selector(NAME), monitor), child)
        # Kueue's webhook judges them, so it must serve.
        served = pulumi.ResourceOptions(parent=self, depends_on=made.ready)
        *_, queue = charts.register(queues.objects(settings, inputs.queue, inputs.workloads), served)
        self.queue = queue.output("metadata")["name"]
        self.register_outputs({"queue": self.queue})

    def _chart(self) -> list[Manifest]:
        upstream = self._inputs.kueue
        return charts.render(
            NAME,
            upstream.release,
            [
                patching.leave_out_descriptions,
                patching.use_images({patching.repository(upstream.image): upstream.image}),
                patching.with_resources(self._settings.resources),
                patches.leave_out_visibility,
                patches.leave_out_roles_for_users,
                patches.ask_only_about(frozenset(_FRAMEWORKS.values())),
                controllers.leave_out_the_empty_certificate,
                controllers.restrict,
                controllers.count_as_available_when_reachable,
                controllers.give_probes_time,
            ],
            values=self._values(),
            namespace=self._inputs.namespace,
        )

    def _values(self) -> dict[str, Any]:
        upstream = self._inputs.kueue
        name = patching.repository(upstream.image)
        tag = upstream.image.removeprefix(f"{name}:")
        image = {"repository": name, "tag": tag, "pullPolicy": "IfNotPresent"}
        return {
            "controllerManager": {
                "featureGates": [{"name": "VisibilityOnDemand", "enabled": False}],
                "manager": {"image": image},
            },
            # The chart wants it as text, and JSON is YAML.
            "managerConfig": {"controllerManagerConfigYaml": json.dumps(self._configuration())},
        }

    def _configuration(self) -> dict[str, Any]:
        """The chart's own, but for what is queued, and where."""
        return {
            "apiVersion": "config.kueue.x-k8s.io/v1beta1",
            "kind": "Configuration",
            "health": {"healthProbeBindAddress": ":8081"},
            "metrics": {"bindAddress": ":8443", "enableClusterQueueResources": True},
            "webhook": {"port": 9443},
            "leaderElection": _LEADERSHIP,
            "clientConnection": {"qps": 50, "burst": 100},
            "manageJobsWithoutQueueName": self._settings.every_job,
            # Jobs of the platform itself, which are made before Kueue runs, never ask it.
            "managedJobsNamespaceSelector": {
                "matchLabels": {"kubernetes.io/metadata.name": self._inputs.workloads}
            },
            "integrations": {"frameworks": list(_FRAMEWORKS)},
        }

    def _secret(self, opts: pulumi.ResourceOptions) -> kube.Object:
        made = webhook_certificate.make("kueue-ca", "kueue-webhook-service", self._inputs.namespace)
        return GeneratedSecret(self._metadata("kueue-webhook-server-cert"), random=(), fixed=made, opts=opts)

    def _metadata(self, name: str) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=NAME)
