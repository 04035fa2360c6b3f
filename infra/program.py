"""The platform in build order: the only file that knows two components at once."""

import pulumi

from infra import alerts, kube, outputs, settings
from infra.components.monitoring.component import (
    Monitoring,
    MonitoringInputs,
    MonitoringOperator,
    OperatorInputs,
)
from infra.components.namespaces.component import Namespaces, NamespacesInputs
from infra.releases import Releases


def build() -> None:
    """Register everything that the selected stack consists of."""
    chosen = settings.of_this_stack(pulumi.get_stack())
    releases = Releases(chosen.images)
    cluster = kube.Cluster("cluster", chosen.cluster.provider_arguments())
    here = pulumi.ResourceOptions(provider=cluster)
    namespaces = Namespaces(
        "namespaces",
        chosen.namespaces,
        NamespacesInputs(
            platform=(outputs.NAMESPACE_DATA, outputs.NAMESPACE_ML, outputs.NAMESPACE_MONITORING),
            workloads=outputs.NAMESPACE_WORKLOADS,
        ),
        here,
    )
    operator = MonitoringOperator(
        "monitoring-operator",
        chosen.monitoring,
        OperatorInputs(
            namespace=outputs.NAMESPACE_MONITORING,
            release=releases["prometheus-operator"],
            image=releases.image("prometheus-operator"),
            reloader_image=releases.image("prometheus-config-reloader"),
        ),
        pulumi.ResourceOptions(provider=cluster, depends_on=[namespaces]),
    )
    ready = pulumi.ResourceOptions(provider=cluster, depends_on=[namespaces, *operator.definitions])
    monitoring = Monitoring(
        "monitoring",
        chosen.monitoring,
        MonitoringInputs(
            namespace=outputs.NAMESPACE_MONITORING,
            prometheus_image=releases.image("prometheus"),
            prometheus_version=releases["prometheus"].version,
            alertmanager_image=releases.image("alertmanager"),
            alertmanager_version=releases["alertmanager"].version,
            rules=alerts.rules(),
        ),
        ready,
    )
    pulumi.export(outputs.OUTPUT_PROMETHEUS_URL, monitoring.prometheus_url)
    pulumi.export(outputs.OUTPUT_ALERTMANAGER_URL, monitoring.alertmanager_url)
