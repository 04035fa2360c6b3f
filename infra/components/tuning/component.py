"""Optuna's dashboard: the studies and trials in PostgreSQL, seen while they run."""

from dataclasses import dataclass
from typing import Any

import pulumi

from infra import kube, pods
from infra.components.tuning.katib import KatibInputs, register
from infra.components.tuning.settings import TuningSettings
from infra.connections import Database
from infra.secrets import ComposedSecret

NAME = "optuna-dashboard"
PORT = 8080
_UID = 1000
_FOLDER = "/etc/optuna-dashboard"
_SCHEME = "postgresql+psycopg2"
"""The driver that the upstream image brings; workloads use another, on the same tables."""
_TABLES = "import os, optuna; optuna.storages.RDBStorage(os.environ['STORAGE'])"
"""The dashboard does not start on a database without tables, as a new platform's is until its first study."""


@dataclass(frozen=True, kw_only=True)
class TuningInputs:
    """What other components must hand over."""

    namespace: str
    image: str
    studies: Database
    """Where Optuna keeps studies."""
    katib: KatibInputs | None = None
    """For `settings.katib`, where it is enabled."""


class Tuning(pulumi.ComponentResource):
    url: pulumi.Output[str]
    """Where the dashboard is seen, without a login; known once it answers."""

    def __init__(
        self,
        name: str,
        settings: TuningSettings,
        inputs: TuningInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Tuning", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self._child = pulumi.ResourceOptions(parent=self)
        kube.Object(pods.service(self._metadata(), pods.selector(NAME), {"http": PORT}), self._child)
        dashboard = self._dashboard(self._secret())
        if inputs.katib is not None:
            register(settings.katib, inputs.katib, self._child)
        address = kube.url("http", NAME, inputs.namespace, PORT)
        self.url = dashboard.output("metadata").apply(lambda _: address)
        self.register_outputs({"url": self.url})

    def _metadata(self) -> dict[str, Any]:
        return kube.metadata(NAME, self._inputs.namespace, component=NAME)

    def _secret(self) -> ComposedSecret:
        """The database's address with its password: in a file, since arguments are seen by everybody."""
        storage = self._inputs.studies.account_url(_SCHEME)
        values = {"storage": storage, "config.toml": storage.apply(_configuration)}
        return ComposedSecret(self._metadata(), values, self._child)

    def _dashboard(self, secret: ComposedSecret) -> kube.Object:
        template = {
            "metadata": {"labels": {**kube.PART_OF, **pods.selector(NAME)}},
            "spec": self._pod(),
        }
        spec = {"replicas": 1, "selector": {"matchLabels": pods.selector(NAME)}, "template": template}
        manifest = kube.object_of("apps/v1", "Deployment", self._metadata(), spec)
        after = pulumi.ResourceOptions(depends_on=[secret])
        return kube.Object(manifest, pulumi.ResourceOptions.merge(self._child, after))

    def _pod(self) -> dict[str, Any]:
        tables = {
            **self._container("tables"),
            "command": ["python3", "-c", _TABLES],
            "env": pods.env({"HOME": "/tmp"}) + pods.secret_env({"STORAGE": (NAME, "storage")}),
        }
        dashboard = {
            **self._container("dashboard"),
            "command": ["optuna-dashboard", "--from-config", f"{_FOLDER}/config.toml"],
            "env": pods.env({"HOME": "/tmp"}),
            "ports": [{"name": "http", "containerPort": PORT}],
            # The list of studies comes from the database; a dashboard without one is alive and of no use.
            "startupProbe": _answers("/api/studies", periodSeconds=1, failureThreshold=120, timeoutSeconds=5),
            "readinessProbe": _answers("/api/studies", periodSeconds=10, timeoutSeconds=5),
            "livenessProbe": _answers("/api/meta", periodSeconds=10, timeoutSeconds=10, failureThreshold=6),
        }
        return {
            "automountServiceAccountToken": False,
            "securityContext": pods.security(_UID),
            "initContainers": [tables],
            "containers": [dashboard],
            "volumes": [
                {"name": "config", "secret": {"secretName": NAME, "items": _CONFIG}},
                {"name": "tmp", "emptyDir": {}},
            ],
        }

    def _container(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "image": self._inputs.image,
            "resources": self._settings.resources.manifest(),
            "securityContext": pods.READ_ONLY_CONTAINER,
            "volumeMounts": [
                {"name": "config", "mountPath": _FOLDER, "readOnly": True},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }


_CONFIG = [{"key": "config.toml", "path": "config.toml"}]


def _configuration(storage: str) -> str:
    lines = {"storage": f'"{storage}"', "host": '"0.0.0.0"', "port": str(PORT), "server": '"gunicorn"'}
    return "[optuna_dashboard]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())


def _answers(path: str, **timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": path, "port": PORT}, **timing}
