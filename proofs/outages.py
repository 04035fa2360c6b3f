"""Takes servers of the platform away and brings them back, also those that a killed run left away."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from kubernetes import client as k8s

from client import Platform, outputs
from client.waiting import until

REPLICAS_BEFORE = "seatrial.dev/replicas-before"
"""Annotation of a server that is away: how many pods it had."""


@dataclass(frozen=True)
class Server:
    """What runs the pods of one."""

    namespace: str
    name: str
    kind: Literal["deployment", "stateful_set"] = "deployment"
    drains: bool = False
    """Its pods go on for minutes after they were told to end; they are taken away at once."""

    def read(self, platform: Platform) -> Any:
        """None where it is not part of the platform."""
        try:
            return self._call(platform, "read")
        except k8s.ApiException as error:
            if error.status == 404:
                return None
            raise

    def patch(self, platform: Platform, replicas: int, before: str | None) -> None:
        change = {"metadata": {"annotations": {REPLICAS_BEFORE: before}}, "spec": {"replicas": replicas}}
        self._call(platform, "patch", change)

    def _call(self, platform: Platform, verb: str, *more: Any) -> Any:
        call = getattr(k8s.AppsV1Api(platform.api), f"{verb}_namespaced_{self.kind}")
        return call(self.name, self.namespace, *more)


DEAD = {
    # What others need comes first: it is brought back first.
    "PostgresqlDown": Server(outputs.NAMESPACE_DATA, "postgresql", "stateful_set"),
    "ObjectStoreDown": Server(outputs.NAMESPACE_DATA, "object-store", "stateful_set"),
    "TrinoDown": Server(outputs.NAMESPACE_DATA, "trino"),
    "MlflowDown": Server(outputs.NAMESPACE_ML, "mlflow"),
    "OptunaDashboardDown": Server(outputs.NAMESPACE_ML, "optuna-dashboard"),
    "JobSetDown": Server(outputs.NAMESPACE_TRAINING, "jobset-controller"),
    "TrainerDown": Server(outputs.NAMESPACE_TRAINING, "kubeflow-trainer-controller-manager"),
    "MpiOperatorDown": Server(outputs.NAMESPACE_TRAINING, "mpi-operator"),
    "KueueDown": Server(outputs.NAMESPACE_QUEUEING, "kueue-controller-manager"),
    "CertManagerDown": Server(outputs.NAMESPACE_SERVING, "cert-manager"),
    "EnvoyGatewayDown": Server(outputs.NAMESPACE_SERVING, "envoy-gateway"),
    # Its pods are Envoy Gateway's: they are not made anew while that is away.
    "GatewayDown": Server(outputs.NAMESPACE_SERVING, "gateway", drains=True),
    "KserveDown": Server(outputs.NAMESPACE_SERVING, "kserve-controller-manager"),
    "PrometheusAdapterDown": Server(outputs.NAMESPACE_SERVING, "prometheus-adapter"),
}
"""By alert the server that it is about."""
OPERATOR = Server(outputs.NAMESPACE_MONITORING, "prometheus-operator")
"""It brings back a Prometheus that is taken away."""
PROMETHEUS = Server(outputs.NAMESPACE_MONITORING, f"prometheus-{outputs.PROMETHEUS}", "stateful_set")
WITHOUT_TARGETS = "MonitorWithoutTargets"
"""It says besides that their monitors find nothing."""


def there(platform: Platform) -> dict[str, Server]:
    """Those of them that the platform has."""
    return {alert: server for alert, server in DEAD.items() if server.read(platform) is not None}


@contextmanager
def away(platform: Platform, servers: Collection[Server]) -> Iterator[None]:
    """No pod of these servers runs; they are back, and ready, in the end."""
    bring_back(platform, servers)
    try:
        for server in servers:
            server.patch(platform, 0, str(server.read(platform).spec.replicas))
            if server.drains:
                take_away(platform, server)
        until(lambda: not any(ready(server.read(platform)) for server in servers), "the servers to end")
        yield
    finally:
        bring_back(platform, servers)


def take_away(platform: Platform, server: Server) -> None:
    """Do not wait for its pods."""
    labels = server.read(platform).spec.selector.match_labels
    chosen = ",".join(f"{name}={value}" for name, value in labels.items())
    platform.core.delete_collection_namespaced_pod(
        server.namespace, label_selector=chosen, grace_period_seconds=0
    )


def bring_back(platform: Platform, servers: Collection[Server]) -> None:
    """Also what a killed run left away. One after the other: later ones need those before."""
    for server in servers:
        before = (server.read(platform).metadata.annotations or {}).get(REPLICAS_BEFORE)
        if before is not None:
            server.patch(platform, int(before), None)
            wait(platform, server)


def wait(platform: Platform, server: Server) -> None:
    """Until one of its pods is ready."""
    until(lambda: ready(server.read(platform)) > 0, f"{server.name} to be ready", 300)


def ready(item: Any) -> int:
    return item.status.ready_replicas or 0
