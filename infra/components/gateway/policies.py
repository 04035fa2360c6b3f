"""What holds of every request on whichever route of the Gateway: who may send it, how many, how big; and of
requests on routes that say so, that they may be sent again.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from infra import kube
from infra.components.gateway.settings import GatewaySettings, TenantSettings

API = "gateway.envoyproxy.io/v1alpha1"
TENANT_HEADER = "x-tenant"
"""What a backend sees of the key: the tenant's name. What a client writes there is dropped."""
_ACCEPTED = 'jsonpath={.status.ancestors[0].conditions[?(@.type=="Accepted")].status}=True'


def objects(
    settings: GatewaySettings,
    metadata: Mapping[str, Any],
    gateway: str,
    key_header: str,
    secrets: Sequence[str],
) -> list[kube.Manifest]:
    """A policy of each kind for the Gateway of that name; `secrets` hold the tenants' keys."""
    return [
        _policy("ClientTrafficPolicy", metadata, gateway, _clients()),
        _policy("SecurityPolicy", metadata, gateway, _keys(key_header, secrets)),
        _policy("BackendTrafficPolicy", metadata, gateway, _limits(settings)),
    ]


def _policy(kind: str, metadata: Mapping[str, Any], gateway: str, spec: Mapping[str, Any]) -> kube.Manifest:
    target = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": gateway}
    awaited = {**metadata, "annotations": {"pulumi.com/waitFor": _ACCEPTED}}
    return kube.object_of(API, kind, awaited, {"targetRefs": [target], **spec})


def _clients() -> dict[str, Any]:
    headers = {
        # An application that calls a model hands its own request's id on.
        "requestID": "PreserveOrGenerate",
        "earlyRequestHeaders": {"remove": [TENANT_HEADER]},
    }
    return {"tls": {"minVersion": "1.2"}, "headers": headers}


def _keys(header: str, secrets: Sequence[str]) -> dict[str, Any]:
    return {
        "apiKeyAuth": {
            "credentialRefs": [{"group": "", "kind": "Secret", "name": name} for name in secrets],
            "extractFrom": [{"headers": [header]}],
            "forwardClientIDHeader": TENANT_HEADER,
            "sanitize": True,
        }
    }


def _limits(settings: GatewaySettings) -> dict[str, Any]:
    rules = [_rule(tenant, limit) for tenant, limit in settings.tenants.items()]
    return {"rateLimit": {"local": {"rules": rules}}, "requestBuffer": {"limit": settings.largest_request}}


def _rule(tenant: str, limit: TenantSettings) -> dict[str, Any]:
    sent_by = {"type": "Exact", "name": TENANT_HEADER, "value": tenant}
    return {
        "clientSelectors": [{"headers": [sent_by]}],
        "limit": {"requests": limit.requests, "unit": limit.per},
    }


def repeated(settings: GatewaySettings, metadata: Mapping[str, Any], label: str) -> kube.Manifest:
    """The policy of routes that have this label. It is merged into the Gateway's, whose limits go on; else it
    would take its place. Nobody waits for it: as long as no route has the label it has no status.
    """
    selector = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "matchLabels": {label: "true"}}
    spec = {
        "targetSelectors": [selector],
        "mergeType": "StrategicMerge",
        "retry": {
            "numRetries": settings.retries,
            # No answer of a backend is among them, not even 503: it has judged the request.
            "retryOn": {"triggers": ["connect-failure", "refused-stream", "reset"]},
            # No time for a single try: one that is slow is under way in a pod, and would be so twice.
            "perRetry": {"backOff": {"baseInterval": "25ms", "maxInterval": "250ms"}},
        },
        "circuitBreaker": {"maxParallelRetries": settings.retries_at_once},
        # The default, who has the least under way, is the pod that refuses at once.
        "loadBalancer": {"type": "RoundRobin"},
        # The default, 10 s, would leave a pod whose address is gone no time for a second try.
        "timeout": {"tcp": {"connectTimeout": "1s"}},
    }
    return kube.object_of(API, "BackendTrafficPolicy", metadata, spec)
