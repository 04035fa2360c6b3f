"""`seatrial setup`: what this machine needs before a platform can run on it."""

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from local import images, toolchain
from local.paths import cache_dir
from local.progress import Progress
from local.toolchain import debian
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
        prepare_tools(progress, install)
        images.ensure([*addon_images(), *platform_images()], progress)


def prepare_tools(progress: Progress, install: bool) -> dict[str, Path]:
    """Distribution packages and tools; each command's path."""
    debian.ensure(debian.needed(), progress, install)
    return toolchain.ensure(progress=progress, install=install)


def missing() -> list[toolchain.Missing]:
    """What `setup` would make, with its cost; changes nothing."""
    return [*toolchain.plan(), *images.plan([*addon_images(), *platform_images()])]


def planned_seconds() -> float:
    return sum(part.seconds for part in missing())


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
