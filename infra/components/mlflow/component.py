"""MLflow's tracking server: users with passwords, runs in PostgreSQL, artifacts in the object store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import kube, outputs, pods
from infra.components.mlflow.settings import MlflowSettings
from infra.connections import Database, Store
from infra.secrets import ComposedSecret, GeneratedSecret

NAME = "mlflow"
PORT = 5000
ADMIN = "admin"
CREDENTIALS = "mlflow-credentials"
CONNECTIONS = "mlflow-connections"
_UID = 1000


@dataclass(frozen=True, kw_only=True)
class MlflowInputs:
    """What other components must hand over."""

    namespace: str
    image: str
    tracking: Database
    """The database of runs and models."""
    users: Database
    """The database of users and permissions."""
    store: Store
    bucket: str
    """Where artifacts are kept."""


class Mlflow(pulumi.ComponentResource):
    url: pulumi.Output[str]
    """Where clients connect; known once MLflow answers."""
    user: pulumi.Output[str]
    """The administrator."""
    password: pulumi.Output[str]

    def __init__(
        self,
        name: str,
        settings: MlflowSettings,
        inputs: MlflowInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:Mlflow", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self._child = pulumi.ResourceOptions(parent=self)
        credentials, connections = self._secrets()
        server = self._server(credentials, connections)
        service = pods.service(self._metadata(NAME), pods.selector(NAME), {"http": PORT})
        kube.Object(service, self._child)
        kube.Object(self._monitor(), self._child)
        address = kube.url("http", NAME, inputs.namespace, PORT)
        self.url = server.output("metadata").apply(lambda _: address)
        self.user = pulumi.Output.from_input(ADMIN)
        self.password = credentials.value("password")
        self.register_outputs({"url": self.url})

    def _metadata(self, name: str) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=NAME)

    def _secrets(self) -> tuple[GeneratedSecret, ComposedSecret]:
        credentials = GeneratedSecret(
            self._metadata(CREDENTIALS),
            random=("password", "session-key"),
            fixed={"username": ADMIN},
            opts=self._child,
        )
        inputs = self._inputs
        tracking = inputs.tracking
        connections = {
            "MLFLOW_BACKEND_STORE_URI": _uri(tracking, tracking.password),
            # The users' database is named in a file that cannot hold a secret; libpq reads the password here.
            "PGPASSWORD": inputs.users.password,
            "AWS_ACCESS_KEY_ID": inputs.store.access_key,
            "AWS_SECRET_ACCESS_KEY": inputs.store.secret_key,
        }
        return credentials, ComposedSecret(self._metadata(CONNECTIONS), connections, self._child)

    def _configuration(self) -> dict[str, pulumi.Output[str]]:
        users = self._inputs.users
        database = _uri(users)
        permission = self._settings.default_permission
        return {"basic_auth.ini": database.apply(lambda uri: _basic_auth(uri, permission))}

    def _server(self, credentials: GeneratedSecret, connections: ComposedSecret) -> kube.Object:
        data = self._configuration()
        config_map = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": self._metadata("mlflow-users"),
            "data": data,
        }
        users = kube.Object(config_map, self._child)
        template = {
            "metadata": {
                "labels": {**kube.PART_OF, **pods.selector(NAME)},
                "annotations": pods.configuration_hash(data),
            },
            "spec": self._pod(),
        }
        spec = {
            "replicas": 1,
            # The old server must be gone before the new one's migration changes the tables under it.
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": pods.selector(NAME)},
            "template": template,
        }
        manifest = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": self._metadata(NAME),
            "spec": spec,
        }
        after = pulumi.ResourceOptions(depends_on=[credentials, connections, users])
        return kube.Object(manifest, pulumi.ResourceOptions.merge(self._child, after))

    def _pod(self) -> dict[str, Any]:
        migrate = {
            **self._container("migrate"),
            "command": ["sh", "-c", 'exec mlflow db upgrade "$MLFLOW_BACKEND_STORE_URI"'],
        }
        probes = {
            "startupProbe": _healthy(periodSeconds=1, failureThreshold=180),
            "readinessProbe": _healthy(periodSeconds=10, timeoutSeconds=5),
            "livenessProbe": _healthy(periodSeconds=10, timeoutSeconds=10, failureThreshold=6),
        }
        server = {
            **self._container("mlflow"),
            "command": self._command(),
            "ports": [{"name": "http", "containerPort": PORT}],
            **probes,
        }
        return {
            "automountServiceAccountToken": False,
            "securityContext": pods.security(_UID),
            "initContainers": [migrate],
            "containers": [server],
            "volumes": [
                {"name": "users", "configMap": {"name": "mlflow-users"}},
                *({"name": each, "emptyDir": {}} for each in ("metrics", "tmp")),
            ],
        }

    def _command(self) -> list[str]:
        options = {
            "--app-name": "basic-auth",
            "--host": "0.0.0.0",
            "--port": str(PORT),
            "--workers": str(self._settings.workers),
            "--artifacts-destination": f"s3://{self._inputs.bucket}/{outputs.FOLDER_ARTIFACTS}",
            "--allowed-hosts": ",".join(self._allowed_hosts()),
            "--expose-prometheus": "/metrics-files",
        }
        return ["mlflow", "server", "--serve-artifacts", *(part for pair in options.items() for part in pair)]

    def _allowed_hosts(self) -> list[str]:
        """Replaces MLflow's own list, so loopback (port-forwards) and pods (Prometheus) are in it."""
        service = f"{NAME}.{self._inputs.namespace}"
        names = ["localhost", "127.0.0.1", NAME, service, f"{service}.svc", f"{service}.svc.cluster.local"]
        names += self._settings.allowed_hosts
        addresses = ["10.*", "192.168.*", *(f"172.{second}.*" for second in range(16, 32))]
        return [*(host for name in names for host in (name, f"{name}:*")), *addresses]

    def _container(self, name: str) -> dict[str, Any]:
        plain: dict[str, pulumi.Input[str]] = {
            "MLFLOW_S3_ENDPOINT_URL": self._inputs.store.endpoint,
            "AWS_DEFAULT_REGION": self._inputs.store.region,
            "MLFLOW_AUTH_CONFIG_PATH": "/users/basic_auth.ini",
            # Seven consumer processes of 220 MB each, for scorers that nobody here runs.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "HOME": "/tmp",
        }
        secret = {
            "MLFLOW_AUTH_ADMIN_PASSWORD": (CREDENTIALS, "password"),
            "MLFLOW_FLASK_SERVER_SECRET_KEY": (CREDENTIALS, "session-key"),
        }
        return {
            "name": name,
            "image": self._inputs.image,
            "env": pods.env(plain) + pods.secret_env(secret),
            "envFrom": [{"secretRef": {"name": CONNECTIONS}}],
            "resources": self._settings.resources.manifest(),
            "securityContext": pods.READ_ONLY_CONTAINER,
            "volumeMounts": [
                {"name": "users", "mountPath": "/users"},
                {"name": "metrics", "mountPath": "/metrics-files"},
                {"name": "tmp", "mountPath": "/tmp"},
            ],
        }

    def _monitor(self) -> dict[str, Any]:
        def entry(key: str) -> Mapping[str, str]:
            return {"name": CREDENTIALS, "key": key}

        # /metrics is for administrators only: 401 without a password, 403 with another user's.
        endpoint = {
            "port": "http",
            "path": "/metrics",
            "basicAuth": {"username": entry("username"), "password": entry("password")},
        }
        return pods.service_monitor(self._metadata(NAME), pods.selector(NAME), endpoint)


def _healthy(**timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": "/health", "port": PORT}, **timing}


def _uri(database: Database, password: pulumi.Output[str] | None = None) -> pulumi.Output[str]:
    """As SQLAlchemy names a database."""
    account = pulumi.Output.concat(database.user, ":", password) if password else database.user
    return pulumi.Output.concat(
        "postgresql+psycopg://", account, "@", database.host, f":{database.port}/{database.name}"
    )


def _basic_auth(database_uri: str, default_permission: str) -> str:
    """Without the cache every request hashes the password anew, which is ten times slower."""
    lines = {
        "default_permission": default_permission,
        "database_uri": database_uri,
        "admin_username": ADMIN,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        "auth_cache_ttl_seconds": "60",
    }
    return "[mlflow]\n" + "".join(f"{key} = {value}\n" for key, value in lines.items())
