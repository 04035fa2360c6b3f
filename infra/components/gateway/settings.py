"""What a person may choose about the Gateway."""

from collections.abc import Mapping

from pydantic import Field, field_validator

from infra.settings_base import Resources, Settings

WORKLOADS_TENANT = "workloads"
"""The tenant that jobs and applications of the platform are; its key is in their access data."""


class TenantSettings(Settings):
    requests_per_second: int = Field(default=1000, ge=1)
    """What each proxy lets through for the tenant, on each route; more is answered with 429."""


class GatewaySettings(Settings):
    controller: Resources = Resources(cpu="10m", memory="192Mi")
    """Envoy Gateway, which tells the proxies what to do."""
    proxy: Resources = Resources(cpu="100m", memory="128Mi")
    """Envoy, of each proxy."""
    tenants: Mapping[str, TenantSettings] = {WORKLOADS_TENANT: TenantSettings()}
    """Who may send requests, by name. Each gets a key of its own."""

    @field_validator("tenants")
    @classmethod
    def _with_workloads(cls, tenants: Mapping[str, TenantSettings]) -> Mapping[str, TenantSettings]:
        return {WORKLOADS_TENANT: TenantSettings(), **tenants}
