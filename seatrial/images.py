"""`seatrial images …`: the container images that the local stack runs, and those for your registry."""

import json
from typing import Annotated

import typer
from rich.table import Column, Table

from infra import releases
from local import images
from local.images import Image
from seatrial.console import ConsoleProgress, out
from seatrial.context import require_bare_machine
from seatrial.setup import prepare_tools
from seatrial.wanted import addon_images, choose, platform_images

app = typer.Typer(help="Build, list, push, prune and pin container images.", no_args_is_help=True)

Names = Annotated[
    list[str] | None, typer.Argument(help="Images or recipes; all that the local stack names if left out.")
]


@app.command()
def build(names: Names = None) -> None:
    """Build what is missing into the registry that the nodes use."""
    require_bare_machine("images build")
    with ConsoleProgress() as progress:
        prepare_tools(progress, install=True)
        images.ensure(choose(names), progress)


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False) -> None:
    """Each image with its recipe and whether it is built."""
    rows = images.listing([*addon_images(), *platform_images()])
    if as_json:
        out.print_json(json.dumps([row.as_dict() for row in rows]))
        return
    table = Table(Column("image", no_wrap=True, overflow="ignore"), "recipe", "built", "size")
    for row in rows:
        table.add_row(
            row.name,
            row.recipe,
            "yes" if row.built else "no",
            f"{row.megabytes:,.0f} MB" if row.built else "",
        )
    out.print(table)


@app.command()
def push(
    registry: Annotated[str, typer.Argument(help="Where to, for example registry.example.org/seatrial.")],
    names: Names = None,
) -> None:
    """Copy images to a registry of yours, for a cloud stack."""
    require_bare_machine("images push")
    with ConsoleProgress() as progress:
        images.push(choose(names), registry, progress)


@app.command()
def prune() -> None:
    """Remove what no image of this checkout needs."""
    require_bare_machine("images prune")
    freed = images.prune([*addon_images(), *platform_images()])
    out.print(f"freed {freed / 1e6:,.0f} MB")


@app.command()
def pin() -> None:
    """Resolve each upstream image to its digest in infra/releases.toml, which staging and prod need."""
    digests = images.pin([Image(*each) for each in releases.upstream_images()])
    images.write_digests(releases.FILE, digests)
    for name, digest in digests.items():
        out.print(f"{name}@{digest}", markup=False)
