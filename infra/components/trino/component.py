"""Trino with a password for clients and TLS of its own; one pod does all, or a coordinator leads workers."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from infra import kube, pods
from infra.components.trino import certificate, configuration
from infra.components.trino.configuration import HTTP_PORT, HTTPS_PORT
from infra.components.trino.passwords import password_file
from infra.components.trino.settings import TrinoNode, TrinoSettings
from infra.connections import Database, Store
from infra.secrets import ComposedSecret, ExistingSecret, GeneratedSecret, StoredSecret

NAME = "trino"
COORDINATOR, WORKER = NAME, "trino-worker"
INTERNAL = "trino-internal"
CREDENTIALS = "trino-credentials"
CONNECTIONS = "trino-connections"
PASSWORD_FILE = "trino-password-file"
USER, MONITORING_USER = "seatrial", "monitoring"
CATALOG_TABLES = (Path(__file__).parent / "iceberg.sql").read_text()
"""What the database of Iceberg's catalog must hold before Trino starts."""
_UID = 1000
"""The user `trino` of the image."""
_KEPT_METRICS = "trino_execution_name_QueryManager_.*|trino_memory_.*|io_airlift_stats_.*"
"""About 300 of the 6,700 series that Trino shows, two thirds of them about its internal parts."""


@dataclass(frozen=True, kw_only=True)
class TrinoInputs:
    """What other components must hand over."""

    namespace: str
    image: str
    iceberg: Database
    """Holds Iceberg's catalog, with CATALOG_TABLES in it."""
    postgresql: Database
    """What the catalog `postgresql` shows."""
    store: Store
    warehouse: str
    """Bucket of the Iceberg tables' files."""


class Trino(pulumi.ComponentResource):
    url: pulumi.Output[str]
    """Where clients connect; known once Trino answers."""
    user: pulumi.Output[str]
    password: pulumi.Output[str]
    ca: pulumi.Output[str]
    """The PEM certificate that proves Trino's own; empty where a public authority does."""

    def __init__(
        self,
        name: str,
        settings: TrinoSettings,
        inputs: TrinoInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Trino", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self._child = pulumi.ResourceOptions(parent=self)
        credentials, secrets = self._secrets()
        tls = self._certificate()
        catalogs = self._catalogs()
        coordinator = self._node(COORDINATOR, settings.coordinator, 1, catalogs, [*secrets, tls])
        if settings.workers:
            self._node(WORKER, settings.worker, settings.workers, catalogs, secrets)
        self._services()
        kube.Object(self._monitor(), self._child)
        address = kube.url("https", NAME, inputs.namespace, HTTPS_PORT)
        self.url = coordinator.output("metadata").apply(lambda _: address)
        self.user = pulumi.Output.from_input(USER)
        self.password = credentials.value("password")
        self.ca = tls.value("ca.crt")
        self.register_outputs({"url": self.url})

    def _metadata(self, name: str, component: str = NAME) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=component)

    def _secrets(self) -> tuple[GeneratedSecret, list[kube.Object]]:
        made = GeneratedSecret(
            self._metadata(CREDENTIALS),
            random=("password", "monitoring-password", "shared-secret"),
            fixed={"username": USER, "monitoring-username": MONITORING_USER},
            opts=self._child,
        )
        users = {USER: made.value("password"), MONITORING_USER: made.value("monitoring-password")}
        known = ComposedSecret(
            self._metadata(PASSWORD_FILE),
            {"password.db": pulumi.Output.all(**users).apply(password_file)},
            self._child,
        )
        inputs = self._inputs
        others = {
            configuration.ENV_SHARED_SECRET: made.value("shared-secret"),
            configuration.ENV_ICEBERG_PASSWORD: inputs.iceberg.password,
            configuration.ENV_POSTGRESQL_PASSWORD: inputs.postgresql.password,
            configuration.ENV_S3_ACCESS_KEY: inputs.store.access_key,
            configuration.ENV_S3_SECRET_KEY: inputs.store.secret_key,
        }
        connections = ComposedSecret(self._metadata(CONNECTIONS), others, self._child)
        return made, [made, known, connections]

    def _certificate(self) -> StoredSecret:
        namespace = self._inputs.namespace
        if self._settings.certificate:
            return ExistingSecret(self._settings.certificate, namespace, self._child)
        names = [NAME, f"{NAME}.{namespace}", f"{NAME}.{namespace}.svc"]
        made = certificate.make([*names, f"{NAME}.{namespace}.svc.cluster.local", "localhost"])
        return GeneratedSecret(self._metadata("trino-tls"), random=(), fixed=made, opts=self._child)

    def _catalogs(self) -> pulumi.Output[dict[str, str]]:
        inputs = self._inputs
        return pulumi.Output.all(
            *(each.url("jdbc:postgresql") for each in (inputs.iceberg, inputs.postgresql)),
            inputs.store.endpoint,
        ).apply(
            lambda known: configuration.catalogs(
                iceberg_url=known[0],
                iceberg_user=inputs.iceberg.user,
                warehouse=f"s3://{inputs.warehouse}/iceberg",
                s3={"endpoint": known[2], "region": inputs.store.region},
                postgresql={"url": known[1], "user": inputs.postgresql.user},
            )
        )

    def _node(
        self,
        name: str,
        node: TrinoNode,
        replicas: int,
        catalogs: pulumi.Output[dict[str, str]],
        needs: list[kube.Object],
    ) -> kube.Object:
        """A Deployment of coordinators or workers with its configuration."""
        own = self._own_files(name, node)
        data = catalogs.apply(lambda each: own | each)
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self._metadata(f"{name}-etc", name),
            "data": data,
        }
        etc = kube.Object(manifest, self._child)
        template = {
            "metadata": {
                "labels": {**kube.PART_OF, **pods.selector(name)},
                "annotations": pods.configuration_hash(data),
            },
            "spec": self._pod(name, node, list(own)),
        }
        spec = {
            "replicas": replicas,
            # Two coordinators at once would both schedule queries on the same workers.
            "strategy": {"type": "Recreate"} if name == COORDINATOR else {"type": "RollingUpdate"},
            "selector": {"matchLabels": pods.selector(name)},
            "template": template,
        }
        deployment = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self._metadata(name, name),
            "spec": spec,
        }
        after = pulumi.ResourceOptions(depends_on=[etc, *needs])
        return kube.Object(deployment, pulumi.ResourceOptions.merge(self._child, after))

    def _own_files(self, name: str, node: TrinoNode) -> dict[str, str]:
        alone = self._settings.workers == 0
        leader = INTERNAL if name == WORKER else "localhost"
        return configuration.files(
            coordinator=name == COORDINATOR,
            include_coordinator=alone,
            heap_mib=node.heap_mib,
            discovery=f"http://{leader}:{HTTP_PORT}",
        )

    def _pod(self, name: str, node: TrinoNode, files: list[str]) -> dict[str, Any]:
        return {
            "automountServiceAccountToken": False,
            "securityContext": pods.security(_UID),
            "containers": [self._container(name, node)],
            "volumes": [
                self._etc(name, files),
                {"name": "data", "emptyDir": {}},
                {"name": "tmp", "emptyDir": {}},
            ],
        }

    def _container(self, name: str, node: TrinoNode) -> dict[str, Any]:
        ports = {"http": HTTP_PORT} | ({"https": HTTPS_PORT} if name == COORDINATOR else {})
        return {
            "name": "trino",
            "image": self._inputs.image,
            "envFrom": [{"secretRef": {"name": CONNECTIONS}}],
            "ports": [{"name": each, "containerPort": port} for each, port in ports.items()],
            "resources": node.resources.manifest(),
            "securityContext": pods.READ_ONLY_CONTAINER,
            **_PROBES,
            "volumeMounts": [
                {"name": "etc", "mountPath": "/etc/trino", "readOnly": True},
                {"name": "data", "mountPath": "/data/trino"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }

    def _etc(self, name: str, files: list[str]) -> dict[str, Any]:
        """/etc/trino in one volume; a ConfigMap's keys cannot hold a folder's name, its items can."""
        catalogs = [f"{each}.properties" for each in configuration.CATALOGS]
        items = [{"key": each, "path": each} for each in files]
        items += [
            {"key": f"{configuration.CATALOG_PREFIX}{each}", "path": f"catalog/{each}"} for each in catalogs
        ]
        sources: list[dict[str, Any]] = [{"configMap": {"name": f"{name}-etc", "items": items}}]
        if name == COORDINATOR:
            sources += [
                _file_of_secret(self._settings.certificate or "trino-tls", "tls-combined.pem"),
                _file_of_secret(PASSWORD_FILE, "password.db"),
            ]
        return {"name": "etc", "projected": {"sources": sources}}

    def _services(self) -> None:
        client = pods.service(self._metadata(NAME), pods.selector(COORDINATOR), {"https": HTTPS_PORT})
        kube.Object(client, self._child)
        if self._settings.workers:
            metadata = self._metadata(INTERNAL, INTERNAL)
            kube.Object(pods.service(metadata, pods.selector(COORDINATOR), {"http": HTTP_PORT}), self._child)

    def _monitor(self) -> dict[str, Any]:
        def entry(key: str, secret: str = CREDENTIALS) -> Mapping[str, str]:
            return {"name": secret, "key": key}

        tls: dict[str, Any] = {"serverName": f"{NAME}.{self._inputs.namespace}.svc"}
        tls["ca"] = {"secret": entry("ca.crt", self._settings.certificate or "trino-tls")}
        endpoint = {
            "port": "https",
            "scheme": "https",
            "path": "/metrics",
            "tlsConfig": tls,
            "basicAuth": {"username": entry("monitoring-username"), "password": entry("monitoring-password")},
            "metricRelabelings": [{"action": "keep", "sourceLabels": ["__name__"], "regex": _KEPT_METRICS}],
        }
        return pods.service_monitor(self._metadata(NAME), pods.selector(NAME), endpoint)


def _file_of_secret(secret: str, key: str) -> dict[str, Any]:
    return {"secret": {"name": secret, "items": [{"key": key, "path": key}]}}


def _info(**timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": "/v1/info", "port": HTTP_PORT}, **timing}


# /v1/info answers long before Trino takes queries; the image's health-check also reads that it has started.
_PROBES = {
    "startupProbe": {
        "exec": {"command": ["/usr/lib/trino/bin/health-check"]},
        "periodSeconds": 2,
        "timeoutSeconds": 5,
        "failureThreshold": 150,
    },
    "readinessProbe": _info(periodSeconds=10, timeoutSeconds=5),
    "livenessProbe": _info(periodSeconds=10, timeoutSeconds=10, failureThreshold=6),
}
