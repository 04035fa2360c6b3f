"""PostgreSQL on a volume, with a database, a role and a password for each component that asks for one."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi

from infra import kube, pods
from infra.components.postgresql.settings import PostgresqlSettings
from infra.components.postgresql.sql import DatabaseWish, password_variable, script
from infra.connections import Database
from infra.secrets import GeneratedSecret

PORT = 5432
NAME = "postgresql"
_UID = 999
"""The user `postgres` of the image."""
_DATA = "/var/lib/postgresql/data"
_INITDB = "--data-checksums --auth-host=scram-sha-256"
"""Without the second, initdb trusts the pod's own loopback, which is where a forwarded port arrives."""
_HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class PostgresqlInputs:
    """What other components must hand over."""

    namespace: str
    image: str
    databases: tuple[DatabaseWish, ...]


class Postgresql(pulumi.ComponentResource):
    host: pulumi.Output[str]
    """Address inside the cluster; known once every database exists, so what uses it waits for that."""
    port: int
    databases: dict[str, Database]
    """By name."""

    def __init__(
        self,
        name: str,
        settings: PostgresqlSettings,
        inputs: PostgresqlInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Postgresql", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self._child = pulumi.ResourceOptions(parent=self)
        self._superuser = self._credentials("postgres")
        passwords = {wish.name: self._credentials(wish.name) for wish in inputs.databases}
        server = [self._server(), kube.Object(self._service(), self._child)]
        made = self._databases(passwords, server)
        address = f"{NAME}.{inputs.namespace}.svc.cluster.local"
        self.host, self.port = made.output("metadata").apply(lambda _: address), PORT
        self.databases = {each: self._database(each, secret) for each, secret in passwords.items()}
        self.register_outputs({"host": self.host})

    def _database(self, name: str, credentials: GeneratedSecret) -> Database:
        password = credentials.value("password")
        return Database(host=self.host, port=PORT, name=name, user=name, password=password)

    def _metadata(self, name: str) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=NAME)

    def _credentials(self, role: str) -> GeneratedSecret:
        metadata = self._metadata(_secret_name(role))
        return GeneratedSecret(metadata, random=("password",), fixed={"username": role}, opts=self._child)

    def _service(self) -> dict[str, Any]:
        return pods.service(self._metadata(NAME), pods.selector(NAME), {"postgresql": PORT})

    def _server(self) -> kube.Object:
        scripts = {each: (_HERE / each).read_text() for each in ("start.sh", "finished.sh")}
        start = self._config_map("postgresql-start", scripts)
        template = {
            "metadata": {
                "labels": {**kube.PART_OF, **pods.selector(NAME)},
                "annotations": pods.configuration_hash(scripts),
            },
            "spec": self._pod(),
        }
        spec = {
            "serviceName": NAME,
            "replicas": 1,
            "selector": {"matchLabels": pods.selector(NAME)},
            "template": template,
            "volumeClaimTemplates": [pods.claim("data", self._settings.volume)],
        }
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": self._metadata(NAME),
            "spec": spec,
        }
        return kube.Object(manifest, kube.after(self._child, self._superuser, start))

    def _pod(self) -> dict[str, Any]:
        start = {"name": "start", "configMap": {"name": "postgresql-start", "defaultMode": 0o555}}
        return {
            "automountServiceAccountToken": False,
            "securityContext": pods.security(_UID),
            "terminationGracePeriodSeconds": 60,
            "containers": [self._container()],
            "volumes": [start, *({"name": each, "emptyDir": {}} for each in ("run", "tmp"))],
        }

    def _container(self) -> dict[str, Any]:
        settings = self._settings
        plain = {"PGDATA": f"{_DATA}/pgdata", "POSTGRES_INITDB_ARGS": _INITDB}
        secret = {"POSTGRES_PASSWORD": (_secret_name("postgres"), "password")}
        options = {"max_connections": settings.max_connections, "shared_buffers": settings.shared_buffers}
        return {
            "name": NAME,
            "image": self._inputs.image,
            "command": ["/start/start.sh"],
            "args": [
                "postgres",
                *(part for key, value in options.items() for part in ("-c", f"{key}={value}")),
            ],
            "env": pods.env(plain) + pods.secret_env(secret),
            "ports": [{"name": "postgresql", "containerPort": PORT}],
            "resources": settings.resources.manifest(),
            "securityContext": pods.READ_ONLY_CONTAINER,
            **_PROBES,
            "volumeMounts": [
                {"name": "data", "mountPath": _DATA},
                {"name": "run", "mountPath": "/var/run/postgresql"},
                {"name": "tmp", "mountPath": "/tmp"},
                {"name": "start", "mountPath": "/start/start.sh", "subPath": "start.sh"},
                {
                    "name": "start",
                    "mountPath": "/docker-entrypoint-initdb.d/finished.sh",
                    "subPath": "finished.sh",
                },
            ],
        }

    def _databases(self, passwords: Mapping[str, GeneratedSecret], server: list[kube.Object]) -> kube.Object:
        """A Job for each list of databases: another list is another Job, the same list nothing new."""
        text = script(self._inputs.databases)
        name = f"postgresql-databases-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
        sql = self._config_map(name, {"databases.sql": text})
        metadata = kube.metadata(name, self._inputs.namespace, component="postgresql-databases")
        spec = {
            "backoffLimit": 6,
            "template": {"metadata": {"labels": metadata["labels"]}, "spec": self._client(name)},
        }
        manifest = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        return kube.Object(manifest, kube.after(self._child, *server, sql, *passwords.values()))

    def _client(self, config_map: str) -> dict[str, Any]:
        secret = {"PGPASSWORD": (_secret_name("postgres"), "password")} | {
            password_variable(wish.name): (_secret_name(wish.name), "password")
            for wish in self._inputs.databases
        }
        container = {
            "name": "psql",
            "image": self._inputs.image,
            "command": ["psql", "-X", "-q", "-h", NAME, "-U", "postgres", "-d", "postgres"],
            "args": ["-f", "/sql/databases.sql"],
            "env": pods.secret_env(secret),
            "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}},
            "securityContext": pods.READ_ONLY_CONTAINER,
            "volumeMounts": [{"name": "sql", "mountPath": "/sql"}],
        }
        return {
            "automountServiceAccountToken": False,
            "restartPolicy": "OnFailure",
            "securityContext": pods.security(_UID),
            "containers": [container],
            "volumes": [{"name": "sql", "configMap": {"name": config_map}}],
        }

    def _config_map(self, name: str, data: Mapping[str, str]) -> kube.Object:
        manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self._metadata(name),
            "data": dict(data),
        }
        return kube.Object(manifest, self._child)


def _secret_name(role: str) -> str:
    return f"postgresql-{role.replace('_', '-')}"


def _ready(**timing: int) -> dict[str, Any]:
    return {"exec": {"command": ["pg_isready", "-q", "-h", "127.0.0.1", "-U", "postgres"]}, **timing}


# Crash recovery after a kill may take minutes on a big database: only the start-up probe may wait that long.
_PROBES = {
    "startupProbe": _ready(periodSeconds=1, failureThreshold=600, timeoutSeconds=3),
    "readinessProbe": _ready(periodSeconds=5, timeoutSeconds=5),
    "livenessProbe": _ready(periodSeconds=10, failureThreshold=6, timeoutSeconds=5),
}
