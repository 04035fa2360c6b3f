"""Envoy Gateway, the platform's Gateway, and the keys of those who may use it."""

from dataclasses import dataclass

import pulumi

from infra import kube
from infra.components.gateway.settings import GatewaySettings
from infra.secrets import GeneratedSecret

NAME = "gateway"


@dataclass(frozen=True, kw_only=True)
class GatewayInputs:
    """What other components must hand over."""

    namespace: str
    service: str
    """Name of the Service in front of the proxies."""


class Gateway(pulumi.ComponentResource):
    url: pulumi.Output[str]
    """Where requests come to from inside; their host picks the route."""
    keys: dict[str, pulumi.Output[str]]
    """Of each tenant."""

    def __init__(
        self,
        name: str,
        settings: GatewaySettings,
        inputs: GatewayInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Gateway", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self._child = pulumi.ResourceOptions(parent=self)
        secrets = {tenant: self._secret(tenant) for tenant in settings.tenants}
        self.keys = {tenant: secret.value(tenant) for tenant, secret in secrets.items()}
        self.url = pulumi.Output.from_input(f"https://{inputs.service}.{inputs.namespace}.svc.cluster.local")
        self.register_outputs({"url": self.url})

    def _secret(self, tenant: str) -> GeneratedSecret:
        """A Secret for each, because an entry that is added later would stay empty (infra/secrets.py)."""
        metadata = kube.metadata(f"gateway-key-{tenant}", self._inputs.namespace, component=NAME)
        return GeneratedSecret(metadata, random=(tenant,), opts=self._child)
