"""Names, addresses and places of a cluster: all follow from its name, subnet number and state folder."""

import re
from dataclasses import dataclass, field
from pathlib import Path

from local.errors import LocalError
from local.paths import run_dir

POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
API_SERVICE = "10.96.0.1"
DNS_SERVICE = "10.96.0.10"
SUBNETS = range(256)
POOL_LABEL = "seatrial.dev/pool"


@dataclass(frozen=True)
class Node:
    """One simulated machine."""

    name: str
    number: int
    """Last part of its address is 10 + number; its pods are 10.244.<number>.0/24."""
    memory_share: float
    """Its part of the machine's memory, so that no memory is promised three times."""
    labels: dict[str, str] = field(default_factory=dict)
    taints: tuple[dict[str, str], ...] = ()
    gpus: int = 0

    @property
    def pods(self) -> str:
        return f"10.244.{self.number}.0/24"


NODES = (
    Node("system", 1, 0.40),
    Node("work", 2, 0.40),
    Node(
        "gpu",
        3,
        0.20,
        labels={"nvidia.com/gpu.present": "true"},
        taints=({"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"},),
        gpus=2,
    ),
)

ROLES = ("fabric", "control", "registry", *(node.name for node in NODES))
"""The network namespaces of a cluster."""

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
_ROLE = "|".join(ROLES)
_NETNS = re.compile(rf"st-(?P<name>[a-z0-9-]+)-(?:{_ROLE})")


def check_name(name: str) -> str:
    """The name itself, refused where it would not do for a namespace, a cgroup and a folder."""
    if not _NAME.fullmatch(name):
        raise LocalError(
            f"`{name}` cannot name a cluster",
            "use 1 to 30 small letters, digits and dashes, for example SEATRIAL_CLUSTER=local",
        )
    return name


def host_link(index: int) -> str:
    """Name of the one link that a cluster has in the machine's own namespace."""
    return f"st{index}"


def cluster_of_netns(netns: str) -> str | None:
    """The cluster that a network namespace belongs to, by its name."""
    found = _NETNS.fullmatch(netns)
    return found["name"] if found else None


@dataclass(frozen=True)
class Layout:
    """Where everything of one cluster is."""

    name: str
    index: int
    """k of 10.201.k.0/24."""
    state: Path

    @property
    def subnet(self) -> str:
        return f"10.201.{self.index}.0/24"

    @property
    def api(self) -> str:
        return f"https://{self.control}:6443"

    @property
    def control(self) -> str:
        return f"10.201.{self.index}.1"

    @property
    def registry(self) -> str:
        return f"10.201.{self.index}.2"

    @property
    def host(self) -> str:
        return f"10.201.{self.index}.254"

    @property
    def host_link(self) -> str:
        return host_link(self.index)

    @property
    def cgroup(self) -> str:
        return f"/seatrial/{self.name}"

    @property
    def run(self) -> Path:
        return run_dir() / self.name

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def kubeconfig(self) -> Path:
        return self.state / "kubeconfig"

    def address(self, node: Node) -> str:
        return f"10.201.{self.index}.{10 + node.number}"

    def netns(self, role: str) -> str:
        return f"st-{self.name}-{role}"

    def mount_namespace(self, node: Node) -> Path:
        return self.run / "mnt" / node.name

    def node_dir(self, node: Node) -> Path:
        return self.state / "nodes" / node.name
