"""`seatrial cluster …`: the local cluster alone, without the platform on it."""

import json
from collections import deque
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from local.cluster import Cluster, ClusterStatus
from seatrial.console import ConsoleProgress, out
from seatrial.context import cluster_name, owner, require_bare_machine
from seatrial.setup import prepare
from seatrial.wanted import addon_images

SHOWN = ("cpu", "memory", "pods", "nvidia.com/gpu")

app = typer.Typer(
    help="The local Kubernetes cluster: three nodes in network namespaces of this machine.",
    no_args_is_help=True,
)


@app.command()
def up(install: Annotated[bool, typer.Option(help="Install and build what is missing.")] = True) -> None:
    """Start the cluster; a running one is left as it is, a broken one repaired."""
    require_bare_machine("cluster up")
    with ConsoleProgress() as progress:
        tools = prepare(addon_images(), progress, install)
        cluster = Cluster(cluster_name())
        cluster.up(tools, progress, tied_to=owner())
    out.print(f"export KUBECONFIG={cluster.kubeconfig}", markup=False)


@app.command()
def down() -> None:
    """Stop the cluster and remove its volumes, links, namespaces and state."""
    require_bare_machine("cluster down")
    with ConsoleProgress() as progress:
        Cluster(cluster_name()).down(progress)


@app.command()
def status(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Nodes, processes and the packets that tried to leave; exit 1 if something is not as it should be."""
    found = Cluster(cluster_name()).status()
    if as_json:
        out.print_json(json.dumps(asdict(found), default=str))
    else:
        _draw(found)
    if found.problems:
        raise typer.Exit(1)


def _draw(found: ClusterStatus) -> None:
    out.print(f"cluster {found.name}: {found.state}  {found.api or ''}", markup=False)
    for problem in found.problems:
        out.print(f"  {problem}", style="red", markup=False)
    nodes = Table("node", "ready", "allocatable", "packets that tried to leave")
    for node in found.nodes:
        room = ", ".join(f"{name} {node.allocatable[name]}" for name in SHOWN if name in node.allocatable)
        nodes.add_row(node.name, "yes" if node.ready else node.message, room, str(node.outbound_packets))
    parts = Table("process (name for `seatrial cluster logs`)", "pid", "memory")
    for part in found.components:
        parts.add_row(part.name, str(part.pid or "does not run"), f"{part.memory / 1e6:,.0f} MB")
    out.print(nodes, parts)


@app.command()
def logs(
    part: Annotated[
        str, typer.Argument(help="For example kube-apiserver, etcd, kubelet-work, containerd-gpu.")
    ],
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, help="How many of the last lines.")] = 100,
) -> None:
    """The last lines that a part of the cluster logged."""
    for line in deque(Cluster(cluster_name()).logs(part), maxlen=lines):
        out.print(line.rstrip(), markup=False)
