"""`seatrial setup`: what this machine needs before a platform can run on it."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from infra import releases
from infra.parts import Part
from local import images, manifests, toolchain
from local.errors import LocalError
from local.images import Image
from local.paths import cache_dir
from local.progress import Progress, step
from local.toolchain import debian, disk, gocache
from seatrial.console import ConsoleProgress, duration, out
from seatrial.context import require_bare_machine
from seatrial.parts import USUAL, PartsOption, WithOption, chosen, costs
from seatrial.together import together
from seatrial.wanted import addon_images, platform_images


def setup(
    check: Annotated[
        bool, typer.Option("--check", help="Only say what is missing and what it will cost.")
    ] = False,
    install: Annotated[bool, typer.Option(help="Install and build what is missing.")] = True,
    parts: PartsOption = USUAL,
    besides: WithOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="With --check: machine-readable.")] = False,
) -> None:
    """Install Debian packages, build tools and images; quick when all is there. Part of `seatrial up`."""
    wanted = chosen(parts, besides)
    if check:
        _report(wanted, as_json)
        return
    require_bare_machine("setup")
    lacking = missing(wanted)
    require_disk(lacking)
    with ConsoleProgress(planned_seconds=seconds(lacking)) as progress:
        prepare([*addon_images(), *platform_images(wanted)], progress, install)
        prepare_manifests(progress, wanted)
        drop_build_caches(progress)


def prepare(wanted: list[Image], progress: Progress, install: bool) -> dict[str, Path]:
    """Distribution packages, then tools and images side by side; each command's path.

    Compilers wait for linkers, and images for downloads: alone neither keeps two cores busy.
    """
    prepare_packages(progress, install)

    def build_images() -> None:
        toolchain.ensure(["registry"], progress, install)  # They are pushed to it.
        prepare_images(wanted, progress, install)

    tools, _ = together(lambda: toolchain.ensure(progress=progress, install=install), build_images)
    return dict(tools)


def prepare_packages(progress: Progress, install: bool) -> None:
    """What comes from the distribution."""
    debian.ensure(debian.needed(), progress, install)


def prepare_tools(progress: Progress, install: bool) -> dict[str, Path]:
    """Distribution packages and tools; each command's path."""
    prepare_packages(progress, install)
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


def prepare_manifests(progress: Progress, parts: Collection[Part]) -> None:
    """Upstream manifests and charts that come with a Go module, where the program looks for them."""
    manifests.ensure([manifests.Wanted(*each) for each in releases.local_manifests(parts)], progress)


def drop_build_caches(progress: Progress) -> None:
    """Go's caches grow to many GB and are of no use once all is built."""
    if gocache.megabytes():
        with step(progress, "remove the build caches", 30):
            gocache.drop()


def missing(parts: Collection[Part]) -> list[toolchain.Missing]:
    """What `setup` would make, with its cost; changes nothing."""
    packages = debian.missing(debian.needed())
    return [
        *(toolchain.Missing(f"package {name}", *PACKAGE_COST) for name in packages),
        *toolchain.plan(),
        *images.plan([*addon_images(), *platform_images(parts)]),
    ]


PACKAGE_COST = (2.0, 36, 0)
"""Seconds, MB kept and MB of caches of one distribution package, on average on a bare Debian 12."""


def seconds(lacking: list[toolchain.Missing]) -> float:
    """How long making them takes."""
    return sum(each.seconds for each in lacking)


def require_disk(lacking: list[toolchain.Missing]) -> None:
    """Refuse before the first minute of work what would fill the disk in the thirtieth."""
    if not lacking:
        return
    caches = max(sum(each.cache_megabytes for each in lacking) - gocache.megabytes(), 0)
    needed = sum(each.megabytes for each in lacking) + caches
    disk.require(needed, cache_dir(), "building the tools and images that are missing")


def _report(parts: Collection[Part], as_json: bool) -> None:
    lacking = missing(parts)
    if as_json:
        rows = [{"name": each.name, "seconds": each.seconds, "megabytes": each.megabytes} for each in lacking]
        out.print_json(json.dumps(rows))
        return
    out.print(_costs())
    if not lacking:
        out.print(f"nothing is missing; the cache is {cache_dir()}")
        return
    table = Table("missing", "time on 2 cores", "disk")
    for each in lacking:
        table.add_row(each.name, duration(each.seconds), f"{each.megabytes:,.0f} MB")
    out.print(table)
    megabytes, free = sum(each.megabytes for each in lacking), disk.free_megabytes(cache_dir())
    out.print(
        f"in all about {duration(seconds(lacking))} and {megabytes:,.0f} MB in {cache_dir()} "
        f"(free: {free:,.0f} MB); nothing was changed"
    )


def _costs() -> Table:
    """What each part costs where nothing is built yet."""
    table = Table("part (--parts)", "time to build", "memory", "disk")
    for cost in costs():
        memory = f"{cost.memory / 2**30:.1f} GiB"
        table.add_row(cost.part, duration(cost.seconds), memory, f"{cost.megabytes:,.0f} MB")
    return table
