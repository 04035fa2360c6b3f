"""One running platform: its access data, and clients that reach it from here."""

import base64
import functools
import os
import ssl
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
from kubernetes import client as k8s
from kubernetes import config as k8s_config

from client.errors import ClientError
from client.forward import Forward
from infra import outputs


class Platform:
    """Made by `connect`; close it (or use `with`) to end its port-forwards."""

    def __init__(self, api: Any, name: str) -> None:
        self.api = api
        """The Kubernetes API client."""
        self.name = name
        """The stack's name."""
        self.core = k8s.CoreV1Api(api)
        self._forwards: dict[tuple[str, str, int], Forward] = {}
        self._access: dict[str, str] | None = None
        self._authorities: str | None = None

    @classmethod
    def connect(
        cls, kubeconfig: Path | str | None = None, context: str | None = None, name: str = "local"
    ) -> "Platform":
        """Reach the platform by a kubeconfig (default: `$KUBECONFIG`, then `~/.kube/config`)."""
        try:
            api = k8s_config.new_client_from_config(
                config_file=str(kubeconfig) if kubeconfig else None, context=context
            )
            k8s.VersionApi(api).get_code(_request_timeout=10)
        except Exception as error:
            raise ClientError(
                f"the cluster of stack '{name}' does not answer ({kubeconfig or 'default'}): {error}",
                "bring it up with `seatrial up`, or name another kubeconfig or context",
            ) from error
        return cls(api, name)

    def __enter__(self) -> "Platform":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all port-forwards, and remove the file with Trino's authority."""
        for forward in self._forwards.values():
            forward.close()
        self._forwards.clear()
        self._drop_authorities()

    def forget(self) -> None:
        """Read the access data anew when it is next needed."""
        self._access = None
        self._drop_authorities()

    def _drop_authorities(self) -> None:
        if self._authorities is not None:
            Path(self._authorities).unlink(missing_ok=True)
            self._authorities = None

    # --- access --------------------------------------------------------------------------------------------

    @property
    def access(self) -> dict[str, str]:
        """What a workload gets as its environment: addresses inside the cluster, accounts and passwords."""
        if self._access is None:
            self._access = self.secret(outputs.NAMESPACE_WORKLOADS, outputs.SECRET_ACCESS)
        return self._access

    def secret(self, namespace: str, name: str) -> dict[str, str]:
        """The values of a Secret."""
        try:
            data = self.core.read_namespaced_secret(name, namespace).data or {}
        except k8s.ApiException as error:
            raise ClientError(
                f"Secret {namespace}/{name} cannot be read: {error.reason}",
                "the platform is not provisioned yet; run `seatrial up`",
            ) from error
        return {key: base64.b64decode(value).decode() for key, value in data.items()}

    def forward(self, namespace: str, service: str, port: int, local_port: int = 0) -> Forward:
        """A port of 127.0.0.1 that leads to the Service; made once and shared."""
        key = (namespace, service, port)
        if key not in self._forwards:
            self._forwards[key] = Forward(lambda: self.api, namespace, service, port, local_port)
        return self._forwards[key]

    def address(self, namespace: str, service: str, port: int) -> str:
        """`host:port` at which the Service is reached from here."""
        return f"127.0.0.1:{self.forward(namespace, service, port).local_port}"

    def complaint(self, variable: str) -> str:
        """What the port-forward to `access[variable]` last complained about."""
        service, namespace = service_of(host_of(self.access[variable]))
        found = [
            entry
            for entry in self._forwards.values()
            if (entry.namespace, entry.service) == (namespace, service)
        ]
        return found[0].last_error.splitlines()[0] if found and found[0].last_error else ""

    def local(self, variable: str, local_port: int = 0) -> SplitResult:
        """The address of `access[variable]` as it is reached from here."""
        url = urlsplit(self.access[variable])
        service, namespace = service_of(url.hostname or "")
        forward = self.forward(namespace, service, port_of(url), local_port)
        return url._replace(netloc=f"127.0.0.1:{forward.local_port}")

    # --- ready-made clients --------------------------------------------------------------------------------

    def trino(self, password: str | None = None) -> Any:
        """A DB-API connection to Trino, with its certificate verified under its name in the cluster."""
        from trino.auth import BasicAuthentication
        from trino.dbapi import connect

        inside, here = urlsplit(self.access["TRINO_URL"]), self.local("TRINO_URL")
        user = self.access["TRINO_USER"]
        return connect(
            host=here.hostname,
            port=here.port,
            http_scheme=here.scheme,
            user=user,
            auth=BasicAuthentication(user, password or self.access["TRINO_PASSWORD"])
            if here.scheme == "https"
            else None,
            http_session=verified_session(inside.hostname or "", self.authorities()),
            request_timeout=60,
            source="seatrial",
        )

    def sql(self, statement: str) -> list[Any]:
        """All rows of one statement in Trino."""
        cursor = self.trino().cursor()
        cursor.execute(statement)
        rows: list[Any] = cursor.fetchall()
        return rows

    def authorities(self) -> str | None:
        """A file with the authority that signed Trino's certificate; None where it is a public one."""
        pem = self.access.get("TRINO_CA")
        if not pem:
            return None
        if self._authorities is None:
            descriptor, self._authorities = tempfile.mkstemp(prefix="seatrial-ca-", suffix=".pem")
            with os.fdopen(descriptor, "w") as file:
                file.write(pem)
        return self._authorities

    def s3(self, secret_key: str | None = None, endpoint: str | None = None) -> Any:
        """A boto3 client for the object store, or for one at another endpoint with the same account."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=endpoint or self.local("AWS_ENDPOINT_URL").geturl(),
            aws_access_key_id=self.access["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=secret_key or self.access["AWS_SECRET_ACCESS_KEY"],
            region_name=self.access.get("AWS_REGION", "us-east-1"),
            config=Config(
                s3={"addressing_style": "path"}, retries={"max_attempts": 2}, read_timeout=60, proxies={}
            ),
        )

    def mlflow(self, **environment: str) -> Any:
        """An MlflowClient that fails soon when the server is away.

        MLflow takes its account from environment variables only, so this process gets them.
        """
        os.environ.update(
            MLFLOW_TRACKING_USERNAME=self.access["MLFLOW_TRACKING_USERNAME"],
            MLFLOW_TRACKING_PASSWORD=self.access["MLFLOW_TRACKING_PASSWORD"],
            MLFLOW_DISABLE_TELEMETRY="true",
            # Or the client asks for presigned addresses of the object store, which only resolve inside.
            MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD="false",
            MLFLOW_HTTP_REQUEST_MAX_RETRIES="1",
            MLFLOW_HTTP_REQUEST_TIMEOUT="30",
            MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false",
            MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT="true",
            GIT_PYTHON_REFRESH="quiet",
            **_no_proxy_here(),
            **environment,
        )
        import mlflow
        from mlflow.utils import logging_utils

        logging_utils.disable_logging()  # It tells a notebook's reader of each step; failures are raised.
        uri = self.local("MLFLOW_TRACKING_URI").geturl()
        mlflow.set_tracking_uri(uri)
        return mlflow.MlflowClient(tracking_uri=uri)

    def postgres(self, password: str | None = None) -> Any:
        """A connection to the staging database."""
        import psycopg

        service, namespace = service_of(self.access["PGHOST"])
        address = self.address(namespace, service, int(self.access.get("PGPORT", "5432")))
        host, _, port = address.partition(":")
        return psycopg.connect(
            host=host,
            port=int(port),
            user=self.access["PGUSER"],
            password=password or self.access["PGPASSWORD"],
            dbname=self.access["PGDATABASE"],
            connect_timeout=20,
        )

    def studies(self) -> Any:
        """A connection to the database where Optuna keeps studies."""
        return self._database("OPTUNA_STORAGE")

    def bookings(self) -> Any:
        """A connection to the database where predictions and their outcomes are logged."""
        return self._database("BOOKINGS_DATABASE")

    def _database(self, variable: str) -> Any:
        """A connection to the database whose URL, with its account, is `access[variable]`."""
        import psycopg

        inside, here = urlsplit(self.access[variable]), self.local(variable)
        return psycopg.connect(
            host=here.hostname,
            port=here.port,
            user=inside.username,
            password=inside.password,
            dbname=inside.path.removeprefix("/"),
            connect_timeout=20,
        )

    def prometheus(self, path: str, **parameters: str) -> Any:
        """The `data` of one call of Prometheus' HTTP API, for instance `query`, query="up"."""
        url = self.local("PROMETHEUS_URL").geturl().rstrip("/")
        answer = httpx.get(
            f"{url}/api/v1/{path}", params=parameters, timeout=30, trust_env=False, verify=_trusted()
        )
        answer.raise_for_status()
        return answer.json()["data"]

    def alertmanager(self, method: str, path: str, body: Any = None) -> Any:
        """The answer to one call of Alertmanager's API v2, for instance `GET`, `silences`; None if empty."""
        if "ALERTMANAGER_URL" not in self.access:
            raise ClientError(
                f"ALERTMANAGER_URL is not in Secret {outputs.SECRET_ACCESS}",
                "the platform was provisioned by an older Seatrial; run `seatrial up`",
            )
        url = self.local("ALERTMANAGER_URL").geturl().rstrip("/")
        answer = httpx.request(method, f"{url}/api/v2/{path}", json=body, timeout=30, trust_env=False)
        answer.raise_for_status()
        return answer.json() if answer.content else None


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Whom to trust, made once: it takes ten times as long as a query."""
    return httpx.create_ssl_context(trust_env=False)


def _no_proxy_here() -> dict[str, str]:
    """Port-forwards are not reached through the proxy that this process may have to use for the rest."""
    named = (os.environ.get("NO_PROXY") or os.environ.get("no_proxy") or "").split(",")
    joined = ",".join(dict.fromkeys([*filter(None, named), "127.0.0.1"]))
    return {"NO_PROXY": joined, "no_proxy": joined}


def host_of(address: str) -> str:
    """The host of a URL, or of what is a host already."""
    return urlsplit(address).hostname or address


def port_of(url: SplitResult) -> int:
    """The port of a URL, also where it does not say one."""
    return url.port or (443 if url.scheme == "https" else 80)


def service_of(host: str) -> tuple[str, str]:
    """`(service, namespace)` of `service.namespace.svc.cluster.local`."""
    parts = host.split(".")
    if len(parts) < 3 or parts[2] != "svc":
        raise ClientError(
            f"'{host}' is not the name of a Service",
            "the Secret platform-access must hold names like trino.platform-data.svc.cluster.local",
        )
    return parts[0], parts[1]


def verified_session(hostname: str, authorities: str | None) -> Any:
    """A requests session that connects to a forwarded port, but verifies the certificate for `hostname`."""
    import requests
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs, assert_hostname=hostname, server_hostname=hostname)

    session = requests.Session()
    session.mount("https://", Adapter())
    session.trust_env = False
    session.verify = authorities or True
    return session
