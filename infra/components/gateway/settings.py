"""What a person may choose about the Gateway."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from infra.outputs import TENANT_TRIAL
from infra.settings_base import Resources, Settings

WORKLOADS_TENANT = "workloads"
"""The tenant that the platform's own jobs and applications are; its key is in their access data."""

Tenant = Annotated[str, StringConstraints(pattern=r"^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$")]


class TenantSettings(Settings):
    """How many of a tenant's requests each proxy lets through on each route; others are answered with 429."""

    requests: int = Field(default=1000, ge=1)
    per: Literal["Second", "Minute", "Hour"] = "Second"


class GatewaySettings(Settings):
    controller: Resources = Resources(cpu="10m", memory="256Mi")
    """Envoy Gateway, which tells the proxies what to do."""
    proxy: Resources = Resources(cpu="100m", memory="256Mi")
    """Envoy, of each proxy. Requests are held in it until they are whole."""
    proxies: int = Field(default=1, ge=1)
    """How many share the requests; each counts for itself what a tenant has sent."""
    service: Literal["ClusterIP", "LoadBalancer"] = "ClusterIP"
    """`LoadBalancer` where requests come from outside the cluster and the cloud gives addresses."""
    hosts: tuple[str, ...] = ()
    """Names under which it is reached from outside; its certificate is for them too."""
    largest_request: str = Field(default="1Mi", pattern=r"^[1-9][0-9]*(Ki|Mi|Gi)$")
    """What is bigger is answered with 413."""
    retries: int = Field(default=2, ge=0, le=5)
    """How often a request that reached no pod, or got no answer, is sent again to another one, on routes that
    allow it; 0 for never.
    """
    retries_at_once: int = Field(default=64, ge=1)
    """How many of those each proxy has under way on a rule of a route. What fails beyond them is answered
    with 503, so that pods that all fail do not get three times the requests.
    """
    tenants: Mapping[Tenant, TenantSettings] = Field(default={}, max_length=14)
    """Who may send requests, by name, besides `workloads` and `trial`; each gets a key. What is said of those
    two here replaces their default.
    """

    @field_validator("tenants")
    @classmethod
    def _with_our_own(cls, tenants: Mapping[str, TenantSettings]) -> Mapping[str, TenantSettings]:
        ours = {WORKLOADS_TENANT: TenantSettings(), TENANT_TRIAL: TenantSettings(requests=20, per="Minute")}
        return {**ours, **tenants}
