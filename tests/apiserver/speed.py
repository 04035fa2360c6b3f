"""How quick the provider is: `python -m tests.apiserver.speed` prints a table.

22 and 300 small objects through the real engine on a real API server: cold, no-op, refresh and destroy; the
seconds of the engine's events and the requests that reached the API server, counted by the server itself.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pulumi_kubernetes as k8s

from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.engine import Stack

_SIZES = (22, 300)


def program(namespace: str, count: int) -> Callable[[], None]:
    """Small objects of several kinds; none waits for a pod."""

    def run() -> None:
        for index in range(count):
            inside = {"name": f"thing-{index}", "namespace": namespace}
            match index % 5:
                case 0:
                    k8s.core.v1.ConfigMap(f"thing-{index}", metadata=inside, data={"index": str(index)})
                case 1:
                    k8s.core.v1.Secret(f"thing-{index}", metadata=inside, string_data={"index": str(index)})
                case 2:
                    k8s.core.v1.ServiceAccount(f"thing-{index}", metadata=inside)
                case 3:
                    ports, spec = [{"port": 80}], {"cluster_ip": "None", "selector": {"app": "none"}}
                    k8s.core.v1.Service(f"thing-{index}", metadata=inside, spec={**spec, "ports": ports})
                case _:
                    rules = [{"api_groups": [""], "resources": ["pods"], "verbs": ["get"]}]
                    k8s.rbac.v1.Role(f"thing-{index}", metadata=inside, rules=rules)

    return run


def requests(cluster: Cluster) -> int:
    """Requests that the API server has finished since it started, those of its controllers included."""
    lines = cluster.text("/metrics").splitlines()
    return sum(
        int(float(line.rsplit(" ", 1)[1])) for line in lines if line.startswith("apiserver_request_total{")
    )


def measure(plane: ControlPlane, cluster: Cluster, count: int) -> None:
    namespace = f"speed-{count}"
    cluster.create("/api/v1/namespaces", {"metadata": {"name": namespace}})
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder), plane.kubeconfig)
        stack.program = program(namespace, count)
        for name, operation in (
            ("preview", stack.stack.preview),
            ("up", stack.stack.up),
            ("up again", stack.stack.up),
            ("refresh", stack.stack.refresh),
            ("destroy", stack.stack.destroy),
        ):
            _measure_one(cluster, count, name, operation)


def _measure_one(cluster: Cluster, count: int, name: str, operation: Callable[..., object]) -> None:
    moments: list[float] = []
    idle = _idle_rate(cluster)
    before, begun = requests(cluster), time.monotonic()
    operation(on_event=lambda _: moments.append(time.monotonic()))
    whole = time.monotonic() - begun
    sent = requests(cluster) - before - idle * whole
    engine = moments[-1] - moments[0]
    print(
        f"{count:4} {name:9} {engine:6.2f} s  {whole:6.2f} s  {sent / count:5.1f} requests an object",
        flush=True,
    )


def _idle_rate(cluster: Cluster) -> float:
    """Requests a second that the control plane makes of itself."""
    before = requests(cluster)
    time.sleep(2)
    return (requests(cluster) - before - 1) / 2


def main() -> None:
    with ControlPlane() as plane, Cluster(plane) as cluster:
        print("objects, operation, the engine's seconds, with the command's start, requests")
        for count in [int(word) for word in sys.argv[1:]] or _SIZES:
            measure(plane, cluster, count)


if __name__ == "__main__":
    main()
