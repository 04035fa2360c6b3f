"""`seatrial setup`: what this machine needs before a platform can run on it."""

import json
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
    lacking = missing()
    require_disk(lacking)
    with ConsoleProgress(planned_seconds=seconds(lacking)) as progress:
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


def seconds(parts: list[toolchain.Missing]) -> float:
    """How long making them takes."""
    return sum(part.seconds for part in parts)


def require_disk(parts: list[toolchain.Missing]) -> None:
    """Refuse before the first minute of work what would fill the disk in the thirtieth."""
    if not parts:
        return
    caches = max(sum(part.cache_megabytes for part in parts) - gocache.megabytes(), 0)
    needed = sum(part.megabytes for part in parts) + caches
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
    megabytes, free = sum(part.megabytes for part in parts), disk.free_megabytes(cache_dir())
    out.print(
        f"in all about {duration(seconds(parts))} and {megabytes:,.0f} MB in {cache_dir()} "
        f"(free: {free:,.0f} MB); nothing was changed"
    )
