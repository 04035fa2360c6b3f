"""The platform in build order: the only file that knows two components at once."""

import pulumi

from infra import kube, outputs, settings
from infra.components.namespaces.component import Namespaces, NamespacesInputs
from infra.releases import Releases


def build() -> None:
    """Register everything that the selected stack consists of."""
    chosen = settings.of_this_stack(pulumi.get_stack())
    Releases(chosen.images)
    cluster = kube.Cluster("cluster", {"context": chosen.cluster.context})
    opts = pulumi.ResourceOptions(provider=cluster)
    Namespaces(
        "namespaces",
        chosen.namespaces,
        NamespacesInputs(
            platform=(outputs.NAMESPACE_DATA, outputs.NAMESPACE_ML, outputs.NAMESPACE_MONITORING),
            workloads=outputs.NAMESPACE_WORKLOADS,
        ),
        opts,
    )
