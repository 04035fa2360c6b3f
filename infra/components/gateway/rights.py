"""Who may change a namespace may lead requests to what is in it."""

from infra import kube

_ROUTES = {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes", "grpcroutes"]}
_FILTERS = {"apiGroups": ["gateway.envoyproxy.io"], "resources": ["httproutefilters"]}
"""What a route may do with its own requests."""


def roles() -> list[kube.Manifest]:
    """For `view` and `edit`, hence `admin`. Gateways and policies are the platform's to write, not a user's:
    a policy on a route takes the place of the Gateway's.
    """
    return [
        _role("view", ["get", "list", "watch"]),
        _role("edit", ["create", "delete", "deletecollection", "patch", "update"]),
    ]


def _role(name: str, verbs: list[str]) -> kube.Manifest:
    labels = {f"rbac.authorization.k8s.io/aggregate-to-{name}": "true"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": kube.metadata(f"seatrial-gateway-{name}", component="gateway", labels=labels),
        "rules": [{**each, "verbs": verbs} for each in (_ROUTES, _FILTERS)],
    }
