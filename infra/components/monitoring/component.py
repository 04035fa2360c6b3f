"""The Prometheus Operator, and the Prometheus and Alertmanager that it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import charts, kube, outputs, patching, pods
from infra.components.monitoring import patches, routing
from infra.components.monitoring.dashboards import config_maps
from infra.components.monitoring.grafana import GrafanaInputs, register
from infra.components.monitoring.settings import AlertmanagerSettings, MonitoringSettings, PrometheusSettings
from infra.releases import Release

MONITORING = "monitoring.coreos.com/v1"
PROMETHEUS, ALERTMANAGER, OPERATOR = "prometheus", "alertmanager", "prometheus-operator"
_NOBODY = 65534
_AVAILABLE = {"pulumi.com/waitFor": "condition=Available"}
"""The operator writes this condition when all pods of a Prometheus or Alertmanager are ready."""


@dataclass(frozen=True, kw_only=True)
class OperatorInputs:
    """What other components must hand over."""

    namespace: str
    release: Release
    image: str
    reloader_image: str
    """Put beside each Prometheus and Alertmanager to make them read changed configuration."""


class MonitoringOperator(pulumi.ComponentResource):
    """The kinds that components describe their monitoring with, and the operator that reads them."""

    definitions: list[kube.Object]
    """Established once they exist: who makes a ServiceMonitor depends on them."""

    def __init__(
        self,
        name: str,
        settings: MonitoringSettings,
        inputs: OperatorInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:MonitoringOperator", name, {}, opts)
        objects = charts.render(
            OPERATOR,
            inputs.release,
            [
                patches.leave_out_unused_kinds,
                patching.leave_out_descriptions,
                patching.into_namespace("default", inputs.namespace),
                patching.use_images({patching.repository(inputs.image): inputs.image}),
                patches.reload_with(inputs.reloader_image),
                patching.with_resources(settings.operator),
            ],
        )
        child = pulumi.ResourceOptions(parent=self)
        definitions = [each for each in objects if each["kind"] == "CustomResourceDefinition"]
        self.definitions = charts.register(definitions, child)
        rights = [
            each
            for each in objects
            if each["kind"] in ("ServiceAccount", "ClusterRole", "ClusterRoleBinding")
        ]
        rest = [each for each in objects if each not in definitions and each not in rights]
        granted = charts.register(rights, child)
        after = pulumi.ResourceOptions(parent=self, depends_on=[*self.definitions, *granted])
        charts.register(rest, after)
        kube.Object(service_monitor(OPERATOR, inputs.namespace, "http"), after)
        self.register_outputs({})


@dataclass(frozen=True, kw_only=True)
class MonitoringInputs:
    """What other components must hand over."""

    namespace: str
    prometheus_image: str
    prometheus_version: str
    alertmanager_image: str
    alertmanager_version: str
    rules: Mapping[str, Mapping[str, Any]]
    """For each component the content of its alerts.yaml."""
    dashboards: Mapping[str, str]
    """For each component the text of its dashboard.json."""
    grafana: GrafanaInputs | None = None
    """For `settings.grafana`, where it is enabled."""


class Monitoring(pulumi.ComponentResource):
    prometheus_url: pulumi.Output[str]
    """Known once Prometheus answers."""
    alertmanager_url: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: MonitoringSettings,
        inputs: MonitoringInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Monitoring", name, {}, opts)
        self._inputs = inputs
        self._child = pulumi.ResourceOptions(parent=self)
        for component, rules in inputs.rules.items():
            self._make(kube.object_of(MONITORING, "PrometheusRule", self._metadata(component), rules))
        routes = self._make(routing.configuration(inputs.namespace, settings.alertmanager))
        alertmanager = self._make(self._alertmanager(settings.alertmanager), [routes])
        rights = self._rights()
        prometheus = self._make(self._prometheus(settings.prometheus), rights)
        self.prometheus_url = self._serve(PROMETHEUS, 9090, prometheus)
        self.alertmanager_url = self._serve(ALERTMANAGER, 9093, alertmanager)
        self._make(kubelet_monitor(self._metadata("kubelet")))
        self._show(settings)
        self.register_outputs({"prometheus_url": self.prometheus_url})

    def _show(self, settings: MonitoringSettings) -> None:
        """The dashboards, and Grafana where it is wanted."""
        inputs = self._inputs
        for each in config_maps(inputs.dashboards, inputs.namespace):
            self._make(each)
        if inputs.grafana is not None:
            address = kube.url("http", PROMETHEUS, inputs.namespace, 9090)
            interval = settings.prometheus.scrape_interval
            register(settings.grafana, inputs.grafana, inputs.namespace, address, interval, self._child)

    def _make(self, manifest: kube.Manifest, after: list[kube.Object] | None = None) -> kube.Object:
        return kube.Object(manifest, pulumi.ResourceOptions(parent=self, depends_on=after))

    def _metadata(self, name: str, annotations: Mapping[str, str] | None = None) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component="monitoring", annotations=annotations)

    def _rights(self) -> list[kube.Object]:
        """Prometheus may look for targets and read the metrics of nodes and API server."""
        account = self._make(kube.object_of("v1", "ServiceAccount", self._metadata(PROMETHEUS)))
        group = "rbac.authorization.k8s.io"
        metadata = kube.metadata("seatrial-prometheus", component="monitoring")
        rules = [
            _may_read("", "nodes", "nodes/metrics", "services", "endpoints", "pods"),
            _may_read("discovery.k8s.io", "endpointslices"),
            {"nonResourceURLs": ["/metrics", "/metrics/cadvisor"], "verbs": ["get"]},
        ]
        role = self._make(
            {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": metadata, "rules": rules}
        )
        who = {"kind": "ServiceAccount", "name": PROMETHEUS, "namespace": self._inputs.namespace}
        binding = {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": metadata["name"]},
            "subjects": [who],
        }
        return [account, role, self._make(binding, [role])]

    def _prometheus(self, settings: PrometheusSettings) -> kube.Manifest:
        ours = {"matchLabels": kube.PART_OF}
        spec = {
            **_common(self._inputs.prometheus_image, self._inputs.prometheus_version, settings),
            "serviceAccountName": PROMETHEUS,
            "serviceDiscoveryRole": "EndpointSlice",
            "containers": [_reloader()],
            "retention": settings.retention,
            "scrapeInterval": settings.scrape_interval,
            "evaluationInterval": settings.scrape_interval,
            "serviceMonitorSelector": ours,
            "podMonitorSelector": ours,
            "ruleSelector": ours,
            "serviceMonitorNamespaceSelector": {},
            "podMonitorNamespaceSelector": {},
            "ruleNamespaceSelector": {},
            "alerting": {
                "alertmanagers": [
                    {"namespace": self._inputs.namespace, "name": ALERTMANAGER, "port": "web"},
                ]
            },
        }
        longest = settings.longest_for
        told = {outputs.ANNOTATION_LONGEST_FOR: longest} if longest else {}
        metadata = self._metadata(outputs.PROMETHEUS, {**_AVAILABLE, **told})
        return kube.object_of(MONITORING, "Prometheus", metadata, spec)

    def _alertmanager(self, settings: AlertmanagerSettings) -> kube.Manifest:
        spec = {
            **_common(self._inputs.alertmanager_image, self._inputs.alertmanager_version, settings),
            **routing.selection(),
        }
        return kube.object_of(MONITORING, "Alertmanager", self._metadata("platform", _AVAILABLE), spec)

    def _serve(self, name: str, port: int, server: kube.Object) -> pulumi.Output[str]:
        """A Service and the watch over it; returns the address, known when `server` is ready."""
        namespace = self._inputs.namespace
        spec = {
            "selector": {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": OPERATOR},
            "ports": [{"name": "web", "port": port, "targetPort": "web"}],
        }
        metadata = kube.metadata(name, namespace, component=name)
        self._make(kube.object_of("v1", "Service", metadata, spec))
        self._make(service_monitor(name, namespace, "web"))
        address = kube.url("http", name, namespace, port)
        return server.output("metadata").apply(lambda _: address)


def _common(image: str, version: str, settings: PrometheusSettings | AlertmanagerSettings) -> dict[str, Any]:
    claim = {"spec": {"resources": {"requests": {"storage": settings.volume}}}}
    return {
        "image": image,
        "version": version,
        "replicas": settings.replicas,
        "resources": settings.resources.manifest(),
        "podMetadata": {"labels": kube.PART_OF},
        "securityContext": {**kube.RESTRICTED_POD, "runAsUser": _NOBODY, "fsGroup": _NOBODY},
        "storage": {"volumeClaimTemplate": claim},
    }


def _reloader() -> dict[str, Any]:
    """Beside the operator's own arguments the folders are watched: of the configuration it watches a file
    that is gone after the first change, and would see the others every 3 minutes
    (prometheus-operator/prometheus-operator#7366).
    """
    place = "/etc/prometheus"
    return {
        "name": "config-reloader",
        "args": [
            "--listen-address=:8080",
            "--reload-url=http://localhost:9090/-/reload",
            f"--config-file={place}/config/prometheus.yaml.gz",
            f"--config-envsubst-file={place}/config_out/prometheus.env.yaml",
            f"--watched-dir={place}/config",
            # Not those below it: of what is in them it is told by the clock alone.
            f"--watched-dir={place}/rules",
            f"--watched-dir={place}/rules/prometheus-{outputs.PROMETHEUS}-rulefiles-0",
        ],
    }


def _may_read(group: str, *resources: str) -> dict[str, list[str]]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": ["get", "list", "watch"]}


def service_monitor(name: str, namespace: str, port: str) -> kube.Manifest:
    """Watch over the Service of the same name."""
    metadata = kube.metadata(name, namespace, component="monitoring")
    return pods.service_monitor(metadata, pods.selector(name), {"port": port})


def kubelet_monitor(metadata: Mapping[str, Any]) -> kube.Manifest:
    """Nodes, their containers and volumes, through the Service that the operator keeps for all kubelets."""
    bearer = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    endpoint = {
        "port": "https-metrics",
        "scheme": "https",
        "bearerTokenFile": bearer,
        # A kubelet's certificate is signed by itself where the cluster's owner does not rotate it.
        "tlsConfig": {"insecureSkipVerify": True},
        "honorLabels": True,
        # Each of the three pages has an `up` of its own: one that fails would be hidden by the other two.
        "relabelings": [{"sourceLabels": ["__metrics_path__"], "targetLabel": "metrics_path"}],
    }
    spec = {
        "jobLabel": "app.kubernetes.io/name",
        "namespaceSelector": {"matchNames": ["kube-system"]},
        "selector": {"matchLabels": {"app.kubernetes.io/name": "kubelet"}},
        "endpoints": [
            endpoint,
            *({**endpoint, "path": f"/metrics/{each}"} for each in ("cadvisor", "probes")),
        ],
    }
    return kube.object_of(MONITORING, "ServiceMonitor", metadata, spec)
