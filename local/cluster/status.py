"""What is to be seen of a cluster: its processes, its nodes, and what its pods tried to reach outside."""

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from local.cluster import daemons, network
from local.cluster.api import Api, connect
from local.cluster.layout import NODES, Layout


@dataclass(frozen=True)
class Component:
    """One process of the cluster."""

    name: str
    pid: int | None
    """Nothing when it does not run; `up` starts it again."""
    memory: int
    """Resident bytes."""
    log: Path


@dataclass(frozen=True)
class NodeStatus:
    """One node, as the API server sees it."""

    name: str
    ready: bool
    message: str
    allocatable: dict[str, str] = field(default_factory=dict)
    outbound_packets: int | None = None
    """Packets of its pods that tried to leave the cluster."""


@dataclass(frozen=True)
class ClusterStatus:
    """A cluster at one moment."""

    name: str
    state: str
    """`absent`, `stopped`, `degraded` or `running`."""
    problems: list[str]
    api: str | None
    kubeconfig: Path | None
    components: list[Component]
    nodes: list[NodeStatus]


def observe(name: str, layout: Layout | None) -> ClusterStatus:
    """Look at everything once, changing nothing."""
    if layout is None:
        return ClusterStatus(name, "absent", [], None, None, [], [])
    components = [_component(layout, c) for c in component_names()]
    problems = [f"{c.name} does not run" for c in components if c.pid is None]
    seen = _ask(layout)
    problems += ["the API server does not answer"] if seen is None else seen[1]
    state = "running" if not problems else "stopped" if all(c.pid is None for c in components) else "degraded"
    return ClusterStatus(
        name,
        state,
        problems,
        layout.api,
        layout.kubeconfig,
        components,
        _nodes(layout, seen[0] if seen else []),
    )


def component_names() -> list[str]:
    found = ["registry", "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"]
    for node in NODES:
        found += [f"{d}-{node.name}" for d in ("containerd", "kubelet", "kube-proxy")]
        found += [f"gpu-plugin-{node.name}"] if node.gpus else []
    return found


def _component(layout: Layout, name: str) -> Component:
    pid = daemons.pid_of(layout, name)
    return Component(name, pid, _resident(pid) if pid else 0, daemons.log_path(layout, name))


def _resident(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * 4096


def _ask(layout: Layout) -> tuple[list[dict[str, Any]], list[str]] | None:
    if not (layout.pki / "admin.crt").exists():
        return None
    try:
        with connect(layout, layout.pki / "admin.crt", layout.pki / "admin.key") as api:
            return _node_objects(api), missing_parts(layout, api)
    except httpx.HTTPError:
        return None


def _node_objects(api: Api) -> list[dict[str, Any]]:
    found = api.get("/api/v1/nodes")
    return list(found["items"]) if found else []


def _nodes(layout: Layout, objects: list[dict[str, Any]]) -> list[NodeStatus]:
    by_name = {o["metadata"]["name"]: o for o in objects}
    found = []
    for node in NODES:
        told = by_name.get(node.name)
        ready, message = readiness(told)
        allocatable = told["status"].get("allocatable", {}) if told else {}
        found.append(
            NodeStatus(node.name, ready, message, allocatable, network.outbound_packets(layout, node))
        )
    return found


def readiness(told: dict[str, Any] | None) -> tuple[bool, str]:
    """The Ready condition of a node or a pod, and its words."""
    if told is None:
        return False, "not registered"
    for condition in told["status"].get("conditions", []):
        if condition["type"] == "Ready":
            return condition["status"] == "True", condition.get("message", "")
    return False, "no condition yet"


def missing_parts(layout: Layout, api: Api) -> list[str]:
    """What keeps the cluster from being Ready, in words."""
    try:
        return _missing_nodes(layout, api) + _missing_deployments(api)
    except httpx.HTTPError as error:
        return [f"the API server does not answer: {error}"]


def _missing_nodes(layout: Layout, api: Api) -> list[str]:
    objects = {o["metadata"]["name"]: o for o in _node_objects(api)}
    found = []
    for node in NODES:
        told = objects.get(node.name)
        ready, message = readiness(told)
        if not ready:
            found.append(f"node {node.name}: {message}")
        elif _last_report(told) < int(daemons.started_at(layout, f"kubelet-{node.name}") or 0):
            found.append(f"node {node.name}: its kubelet has not reported since it was started")
        elif told is not None and int(told["status"]["allocatable"].get("nvidia.com/gpu", "0")) < node.gpus:
            found.append(f"node {node.name}: its {node.gpus} simulated GPUs are not offered yet")
    return found


def _last_report(node: dict[str, Any] | None) -> float:
    times = (
        [c["lastHeartbeatTime"] for c in node["status"]["conditions"] if c["type"] == "Ready"] if node else []
    )
    return max((datetime.fromisoformat(t).timestamp() for t in times), default=0.0)


def _missing_deployments(api: Api) -> list[str]:
    found = []
    for namespace, name, labels in (
        ("kube-system", "coredns", "k8s-app=kube-dns"),
        ("local-path-storage", "local-path-provisioner", "app=local-path-provisioner"),
    ):
        # Not the Deployment's own count: it is old until its controller has looked.
        pods = api.get(f"/api/v1/namespaces/{namespace}/pods?labelSelector={labels}")
        if not pods or not any(readiness(pod)[0] for pod in pods["items"]):
            found.append(f"{namespace}/{name} has no ready pod")
    return found
