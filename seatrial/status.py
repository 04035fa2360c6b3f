"""`seatrial status`: each component of a platform, its version, its health and how to open it."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import typer
from kubernetes import client as k8s
from rich.table import Table

from infra import outputs, releases
from seatrial.connection import connect
from seatrial.console import out
from seatrial.context import LOCAL_STACK
from seatrial.open_ import PARTS

NAME_LABEL = "app.kubernetes.io/name"
NAMESPACES = (
    outputs.NAMESPACE_DATA, outputs.NAMESPACE_ML, outputs.NAMESPACE_MONITORING, outputs.NAMESPACE_TRAINING,
    outputs.NAMESPACE_QUEUEING, outputs.NAMESPACE_SERVING,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One Deployment or StatefulSet of the platform."""

    component: str
    version: str
    health: str
    """`healthy`, or what is wrong."""
    address: str
    """Inside the cluster."""
    open: str
    """The command that makes it reachable from here."""


def status(
    stack: Annotated[str, typer.Option(help="The stack.")] = LOCAL_STACK,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Each component with its version, health, address and how to open it; exit 1 if one is not healthy."""
    with connect(stack) as platform:
        rows = observe(platform.api, platform.access)
    if as_json:
        out.print_json(json.dumps([asdict(row) for row in rows]))
    else:
        table = Table("component", "version", "health", "address in the cluster", "open it with")
        for row in rows:
            health = f"[green]{row.health}[/green]" if row.health == "healthy" else f"[red]{row.health}[/red]"
            table.add_row(row.component, row.version, health, row.address, row.open)
        out.print(table)
    if any(row.health != "healthy" for row in rows):
        raise typer.Exit(1)


def observe(api: Any, access: dict[str, str]) -> list[Row]:
    """What runs now, by component."""
    apps = k8s.AppsV1Api(api)
    found = [
        *apps.list_deployment_for_all_namespaces().items,
        *apps.list_stateful_set_for_all_namespaces().items,
    ]
    ours = [item for item in found if item.metadata.namespace in NAMESPACES]
    return sorted((row(item, access) for item in ours), key=lambda row: row.component)


def row(item: Any, access: dict[str, str]) -> Row:
    component = item.metadata.labels.get(NAME_LABEL, item.metadata.name)
    wanted, ready = item.spec.replicas or 0, item.status.ready_replicas or 0
    health = "healthy" if wanted and ready == wanted else f"{ready} of {wanted} ready"
    opened = next((part for part in PARTS if part in (component, item.metadata.name)), None)
    if component == "object-store":
        opened = "s3"
    if opened and PARTS[opened][0] not in access:
        opened = None  # Provisioned before this could be opened.
    return Row(
        component=component,
        version=version_of(item.spec.template.spec.containers),
        health=health,
        address=access[PARTS[opened][0]] if opened else "",
        open=f"seatrial open {opened}" if opened else "",
    )


def version_of(containers: list[Any]) -> str:
    """The version of the release whose image the first known container runs."""
    names = {
        name: release.version for release in releases.load().values() for _, name in release.image_names()
    }
    images = [str(container.image).partition("@")[0] for container in containers]
    return next((names[image] for image in images if image in names), images[0].rpartition(":")[2])
