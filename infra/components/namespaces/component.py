"""The platform's namespaces with their Pod Security level, quotas and default limits."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import kube
from infra.components.namespaces.settings import NamespacesSettings, Quota


@dataclass(frozen=True, kw_only=True)
class NamespacesInputs:
    """What other components must hand over."""

    platform: tuple[str, ...]
    """Names of the namespaces for the platform's own parts."""
    workloads: str
    """Name of the namespace for users' jobs: the one with a quota."""
    workloads_labels: Mapping[str, str]
    """By which other parts know it."""


class Namespaces(pulumi.ComponentResource):
    names: pulumi.Output[list[str]]
    """All namespaces, known once they exist."""

    def __init__(
        self,
        name: str,
        settings: NamespacesSettings,
        inputs: NamespacesInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Namespaces", name, {}, opts)
        self._settings = settings
        self._child = pulumi.ResourceOptions(parent=self)
        made = [self._namespace(each, {}) for each in inputs.platform]
        made.append(self._namespace(inputs.workloads, inputs.workloads_labels))
        self._limits(inputs.workloads, made[-1])
        self._quota(inputs.workloads, settings.workloads.quota, made[-1])
        self.names = pulumi.Output.all(*[each.output("metadata")["name"] for each in made])
        self.register_outputs({"names": self.names})

    def _namespace(self, name: str, more: Mapping[str, str]) -> kube.Object:
        level = self._settings.pod_security
        labels = {f"pod-security.kubernetes.io/{mode}": level for mode in ("enforce", "warn")} | dict(more)
        manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": kube.metadata(name, labels=labels)}
        return kube.Object(manifest, self._child)

    def _quota(self, namespace: str, quota: Quota, within: kube.Object) -> None:
        hard = {"requests.cpu": quota.cpu, "requests.memory": quota.memory, "pods": str(quota.pods)}
        self._in(namespace, "ResourceQuota", {"hard": hard}, within)

    def _limits(self, namespace: str, within: kube.Object) -> None:
        """A container that asks for nothing gets a little, so that the quota never refuses it for that."""
        container = {
            "type": "Container",
            "defaultRequest": {"cpu": "50m", "memory": "128Mi"},
            "default": {"memory": "512Mi"},
        }
        self._in(namespace, "LimitRange", {"limits": [container]}, within)

    def _in(self, namespace: str, kind: str, spec: Mapping[str, Any], within: kube.Object) -> None:
        metadata = kube.metadata("default", namespace)
        manifest = {"apiVersion": "v1", "kind": kind, "metadata": metadata, "spec": spec}
        kube.Object(manifest, kube.after(self._child, within))
