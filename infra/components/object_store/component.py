"""Buckets behind the S3 protocol: versitygw on a volume of the cluster, or a store that others run."""

from dataclasses import dataclass
from typing import Any

import pulumi

from infra import kube, pods
from infra.components.object_store.settings import ExternalStore, ObjectStoreSettings
from infra.connections import Store
from infra.secrets import ExistingSecret, GeneratedSecret, StoredSecret

PORT = 7070
NAME = "object-store"
CREDENTIALS = "object-store-credentials"
_UID = 1000
_STORE = "/store"
_HEALTH = "/health"


@dataclass(frozen=True, kw_only=True)
class ObjectStoreInputs:
    """What other components must hand over."""

    namespace: str
    image: str
    buckets: tuple[str, ...]


class ObjectStore(pulumi.ComponentResource):
    endpoint: pulumi.Output[str]
    """Address of the S3 service; known once it serves."""
    store: Store
    """The same with an account that may use every bucket."""
    buckets: dict[str, str]
    """The name in the store of each bucket that was asked for."""

    def __init__(
        self,
        name: str,
        settings: ObjectStoreSettings,
        inputs: ObjectStoreInputs,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("seatrial:platform:ObjectStore", name, {}, opts)
        self._settings, self._inputs = settings, inputs
        self._child = pulumi.ResourceOptions(parent=self)
        if settings.external is None:
            self._serve()
        else:
            self._use(settings.external)
        self.register_outputs({"endpoint": self.endpoint})

    def _use(self, external: ExternalStore) -> None:
        self.buckets = {each: external.bucket_prefix + each for each in self._inputs.buckets}
        self.endpoint = pulumi.Output.from_input(external.endpoint)
        where = external.credentials
        credentials = ExistingSecret(where.name, where.namespace, self._child)
        self._take(credentials)

    def _serve(self) -> None:
        self.buckets = {each: each for each in self._inputs.buckets}
        metadata = self._metadata(CREDENTIALS)
        credentials = GeneratedSecret(metadata, random=("access-key", "secret-key"), opts=self._child)
        after = kube.after(self._child, credentials)
        server = kube.Object(self._server(), after)
        service = pods.service(self._metadata(NAME), pods.selector(NAME), {"s3": PORT})
        kube.Object(service, self._child)
        address = kube.url("http", NAME, self._inputs.namespace, PORT)
        self.endpoint = server.output("metadata").apply(lambda _: address)
        self._take(credentials)

    def _take(self, credentials: StoredSecret) -> None:
        self.store = Store(
            endpoint=self.endpoint,
            region=self._settings.region,
            access_key=credentials.value("access-key"),
            secret_key=credentials.value("secret-key"),
        )

    def _metadata(self, name: str) -> dict[str, Any]:
        return kube.metadata(name, self._inputs.namespace, component=NAME)

    def _server(self) -> dict[str, Any]:
        spec = {
            "serviceName": NAME,
            "replicas": 1,
            "selector": {"matchLabels": pods.selector(NAME)},
            "template": {
                "metadata": {"labels": {**kube.PART_OF, **pods.selector(NAME)}},
                "spec": self._pod(),
            },
            "volumeClaimTemplates": [pods.claim("store", self._settings.volume)],
        }
        return {
            "apiVersion": "apps/v1",
            "kind": "StatefulSet",
            "metadata": self._metadata(NAME),
            "spec": spec,
        }

    def _pod(self) -> dict[str, Any]:
        return {
            "automountServiceAccountToken": False,
            "securityContext": pods.security(_UID),
            "initContainers": [self._make_buckets()],
            "containers": [self._container()],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        }

    def _make_buckets(self) -> dict[str, Any]:
        """For versitygw a bucket is a folder: made at each start, so that a new one needs no other step."""
        folders = [f"{_STORE}/objects/{bucket}" for bucket in self._inputs.buckets]
        return {**self._common("buckets"), "command": ["mkdir", "-p", *folders]}

    def _container(self) -> dict[str, Any]:
        options = ["--port", f":{PORT}", "--region", self._settings.region, "--health", _HEALTH, "--quiet"]
        # Not --sidecar: with metadata in files of their own, who reads an object while it is put anew gets
        # the bytes of one and the checksum of the other, and so does everybody after a kill between the two.
        backend = ["posix", f"{_STORE}/objects"]
        secret = {
            "ROOT_ACCESS_KEY": (CREDENTIALS, "access-key"),
            "ROOT_SECRET_KEY": (CREDENTIALS, "secret-key"),
        }
        return {
            **self._common("versitygw"),
            "args": options + backend,
            "env": pods.secret_env(secret),
            "ports": [{"name": "s3", "containerPort": PORT}],
            "startupProbe": _healthy(periodSeconds=1, failureThreshold=60),
            "readinessProbe": _healthy(periodSeconds=5, timeoutSeconds=5),
            "livenessProbe": _healthy(periodSeconds=10, timeoutSeconds=5, failureThreshold=6),
        }

    def _common(self, name: str) -> dict[str, Any]:
        return {
            "name": name,
            "image": self._inputs.image,
            "resources": self._settings.resources.manifest(),
            "securityContext": pods.READ_ONLY_CONTAINER,
            "volumeMounts": [{"name": "store", "mountPath": _STORE}, {"name": "tmp", "mountPath": "/tmp"}],
        }


def _healthy(**timing: int) -> dict[str, Any]:
    return {"httpGet": {"path": _HEALTH, "port": PORT}, **timing}
