"""`seatrial deploy`: put a reference workload on a platform and wait for it."""

import importlib
import json
from pathlib import Path
from typing import Annotated, Any

import typer

import workloads
from client import deploy as put
from seatrial.connection import connect, workloads_run_in
from seatrial.console import ConsoleProgress, out
from seatrial.context import LOCAL_STACK


def deploy(
    workload: Annotated[str, typer.Argument(help="A folder in workloads/, for example ingest_flights.")],
    stack: Annotated[str, typer.Option(help="The stack whose platform runs it.")] = LOCAL_STACK,
    wait: Annotated[bool, typer.Option(help="Wait until it is done and show what it reports.")] = True,
    image: Annotated[
        str | None, typer.Option(help="The image it runs in; for local the one built here.")
    ] = None,
) -> None:
    """Apply a workload's objects and follow its jobs to their end."""
    known = names()
    if workload not in known:
        raise typer.BadParameter(f"{workload!r}; there are: {', '.join(known)}", param_hint="WORKLOAD")
    manifest = importlib.import_module(f"workloads.{workload}.manifest")
    with connect(stack) as platform, ConsoleProgress() as progress:
        objects: list[dict[str, Any]] = manifest.objects(workloads_run_in(stack, image))
        results = put(platform, workload, objects, wait=wait, progress=progress)
    for result in results.values():
        out.print(f"{result.name}: done after {result.seconds} s")
        for index, message in sorted(result.messages.items()):
            out.print(f"  pod {index} on {result.nodes.get(index, '?')}", markup=False)
            out.print_json(json.dumps(message))


def names() -> list[str]:
    """The workloads of this checkout."""
    folder = Path(workloads.__file__).parent
    return sorted(path.parent.name for path in folder.glob("*/manifest.py"))
