"""`seatrial setup`: what this machine needs before a platform can run on it."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from infra import releases
from local import images, manifests, toolchain
from local.errors import LocalError
from local.images import Image
from local.paths import cache_dir
from local.progress import Progress, step
from local.toolchain import debian, disk, gocache
from seatrial.console import ConsoleProgress, duration, out
from seatrial.context import require_bare_machine
from seatrial.wanted import addon_images, platform_images


def setup(
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is missing and what it will cost.")
    ] = False,
    install: Annotated[bool, typer.Option(help="Install and build what is missing.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: machine-readable.")] = False,
) -> None:
    """Install Debian packages, build tools and images; quick when all is there. Part of `seatrial up`."""
    if check:
        _report(as_json)
        return
    require_bare_machine("setup")
    with ConsoleProgress(planned_seconds=planned_seconds()) as progress:
        require_disk()
        prepare_tools(progress, install)
        prepare_images([*addon_images(), *platform_images()], progress, install)
        prepare_manifests(progress)
        drop_build_caches(progress)


def prepare_tools(progress: Progress, install: bool) -> dict[str, Path]:
    """Distribution packages and tools; each command's path."""
    debian.ensure(debian.needed(), progress, install)
    return toolchain.ensure(progress=progress, install=install)


def prepare_images(wanted: list[Image], progress: Progress, install: bool) -> None:
    """Images in the registry that the nodes use; with `install=False` a missing one is an error."""
    lacking = images.plan(wanted)
    if lacking and not install:
        raise LocalError(
            f"these are not built: {', '.join(part.name for part in lacking)}",
            "allow them to be built (leave --no-install out)",
        )
    images.ensure(wanted, progress)


def prepare_manifests(progress: Progress) -> None:
    """Upstream manifests that come with a Go module, where the program looks for them."""
    manifests.ensure([manifests.Wanted(*each) for each in releases.local_manifests()], progress)


def drop_build_caches(progress: Progress) -> None:
    """Go's caches grow to many GB and are of no use once all is built."""
    if gocache.megabytes():
        with step(progress, "remove the build caches", 30):
            gocache.drop()


def missing() -> list[toolchain.Missing]:
    """What `setup` would make, with its cost; changes nothing."""
    packages = debian.missing(debian.needed())
    return [
        *(toolchain.Missing(f"package {name}", *PACKAGE_COST) for name in packages),
        *toolchain.plan(),
        *images.plan([*addon_images(), *platform_images()]),
    ]


PACKAGE_COST = (2.0, 36, 0)
"""Seconds, MB kept and MB of caches of one distribution package, on average on a bare Debian 12."""


def planned_seconds() -> float:
    return sum(part.seconds for part in missing())


def require_disk() -> None:
    """Refuse before the first minute of work what would fill the disk in the thirtieth."""
    parts = missing()
    caches = max(sum(part.cache_megabytes for part in parts) - gocache.megabytes(), 0)
    needed = sum(part.megabytes for part in parts) + caches
    if needed:
        disk.require(needed, cache_dir(), "building the tools and images that are missing")


def _report(as_json: bool) -> None:
    parts = missing()
    if as_json:
        rows = [{"name": part.name, "seconds": part.seconds, "megabytes": part.megabytes} for part in parts]
        out.print_json(json.dumps(rows))
        return
    if not parts:
        out.print(f"nothing is missing; the cache is {cache_dir()}")
        return
    table = Table("missing", "time on 2 cores", "disk")
    for part in parts:
        table.add_row(part.name, duration(part.seconds), f"{part.megabytes:,.0f} MB")
    out.print(table)
    seconds, megabytes = sum(p.seconds for p in parts), sum(p.megabytes for p in parts)
    free = shutil.disk_usage(existing_parent(cache_dir())).free / 1e6
    out.print(
        f"in all about {duration(seconds)} and {megabytes:,.0f} MB in {cache_dir()} "
        f"(free: {free:,.0f} MB); nothing was changed"
    )


def existing_parent(path: Path) -> Path:
    """The nearest folder above `path` that exists."""
    while not path.exists():
        path = path.parent
    return path
