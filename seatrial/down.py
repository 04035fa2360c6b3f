"""`seatrial down` and `seatrial purge`: leave the machine as it was."""

import shutil
from typing import Annotated

import typer

from local import images
from local.cluster import Cluster, down_all, find_leftovers, known
from local.errors import LocalError
from local.paths import cache_dir
from local.toolchain import debian, workspace
from seatrial.console import ConsoleProgress, out
from seatrial.context import cluster_name, require_bare_machine


def down(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Stop the local platform and remove it with its volumes and its stack's state. The cache stays."""
    require_bare_machine("down")
    if debian.missing(["iproute2"]):
        out.print("there are no network namespaces on this machine without iproute2: nothing can be left")
        return
    cluster = Cluster(cluster_name())
    if not yes:
        typer.confirm(
            f"Stop cluster {cluster_name()!r} and delete its volumes (databases, models, runs)?", abort=True
        )
    with ConsoleProgress() as progress:
        cluster.down(progress)
        down_all(find_leftovers(), progress)
        workspace.sweep()
        images.clean()
    if leftovers := cluster.inventory():
        out.print("[red]left over:[/red]\n" + "\n".join(f"  {item}" for item in leftovers))
        raise typer.Exit(1)
    out.print(
        f"nothing of cluster {cluster_name()!r} is left. What stays: the cache {cache_dir()} "
        "and the packages that it uses:"
    )
    out.print("  " + " ".join(debian.needed()), markup=False)


def purge(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """`down`, and remove the cache of built tools and images too."""
    require_bare_machine("purge")
    refuse_while_used(known() - set(find_leftovers()) - {cluster_name()})
    if not yes:
        typer.confirm(f"Delete {cache_dir()}? Building it again takes about half an hour", abort=True)
    down(yes=True)
    shutil.rmtree(cache_dir(), ignore_errors=True)


def refuse_while_used(others: set[str]) -> None:
    """Every cluster of this machine runs programs of the cache and reads its images from there.

    Raises:
        LocalError: `others` are such clusters.
    """
    if others:
        named = ", ".join(sorted(others))
        raise LocalError(
            f"the cache is also used by other clusters of this machine: {named}",
            f"end them first: SEATRIAL_CLUSTER={min(others)} seatrial down",
        )
