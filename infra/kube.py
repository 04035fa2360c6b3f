"""Kubernetes objects as Pulumi resources: a manifest in, an ordinary resource out.

Upstream manifests and our own go the same way, so a component reads like the YAML it becomes, and no typed
SDK (half a second of every run) is imported. The type token is the one that the provider's own SDK uses.
"""

from collections.abc import Mapping
from typing import Any

import pulumi

PROVIDER_VERSION = "4.34.2"

Manifest = Mapping[str, Any]

PART_OF = {"app.kubernetes.io/part-of": "seatrial"}
"""On everything that the program makes."""


class Cluster(pulumi.ProviderResource):
    """The one Kubernetes provider of a stack."""

    def __init__(self, name: str, arguments: Mapping[str, Any]) -> None:
        super().__init__(
            "kubernetes", name, dict(arguments), pulumi.ResourceOptions(version=PROVIDER_VERSION)
        )


# `pulumi up --replace URN` does not ask the provider: without this it would make the new object, of the same
# name, first, and then delete it as the old one.
_NAMED = pulumi.ResourceOptions(delete_before_replace=True)


class Object(pulumi.CustomResource):
    """One Kubernetes object. Its resource name is `namespace/name`, which is unique in a type."""

    manifest: Manifest

    def __init__(self, manifest: Manifest, opts: pulumi.ResourceOptions | None = None) -> None:
        opts = pulumi.ResourceOptions.merge(opts, _NAMED)
        super().__init__(type_token(manifest), resource_name(manifest), dict(manifest), opts)
        self.manifest = manifest

    def output(self, field: str) -> pulumi.Output[Any]:
        """A top-level field as the cluster returned it, e.g. a Secret's `data`."""
        value: pulumi.Output[Any] = self.__dict__[field]
        return value


def type_token(manifest: Manifest) -> str:
    """`kubernetes:apps/v1:Deployment`; the core group, which has no name, is called `core`."""
    version = manifest["apiVersion"]
    return f"kubernetes:{version if '/' in version else f'core/{version}'}:{manifest['kind']}"


def resource_name(manifest: Manifest) -> str:
    """`namespace/name`, or the name alone for what belongs to the whole cluster."""
    metadata = manifest["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def metadata(
    name: str,
    namespace: str | None = None,
    *,
    component: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An object's `metadata` with the recommended labels."""
    own = {"app.kubernetes.io/name": component} if component else {}
    made: dict[str, Any] = {"name": name, "labels": {**PART_OF, **own, **(labels or {})}}
    if namespace:
        made["namespace"] = namespace
    if annotations:
        made["annotations"] = dict(annotations)
    return made


def object_of(
    version: str, kind: str, metadata: Mapping[str, Any], spec: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """A manifest of the usual form."""
    made: dict[str, Any] = {"apiVersion": version, "kind": kind, "metadata": metadata}
    return made if spec is None else {**made, "spec": spec}


RESTRICTED_POD = {
    "runAsNonRoot": True,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""A pod's `securityContext` under Pod Security level `restricted`; add `runAsUser` and `fsGroup`."""

RESTRICTED_CONTAINER = {
    "allowPrivilegeEscalation": False,
    "capabilities": {"drop": ["ALL"]},
}
"""A container's `securityContext` under Pod Security level `restricted`."""


def after(opts: pulumi.ResourceOptions, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
    """The options of what is made after others."""
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(depends_on=list(needed)))


def url(scheme: str, service: str, namespace: str, port: int) -> str:
    """A Service's address inside the cluster."""
    return f"{scheme}://{service}.{namespace}.svc.cluster.local:{port}"
