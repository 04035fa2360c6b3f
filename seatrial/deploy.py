"""`seatrial deploy`: put a reference workload on a platform and wait for it."""

import json
from typing import Annotated

import typer

import workloads
from client import deploy as put
from client import served_kinds
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
    training: Annotated[
        str | None, typer.Option(help="The id of an earlier training that goes on from its last checkpoint.")
    ] = None,
    elastic: Annotated[
        bool, typer.Option("--elastic", help="Go on with the workers that are left when one is lost.")
    ] = False,
) -> None:
    """Apply a workload's objects and follow its jobs to their end."""
    known = workloads.names()
    if workload not in known:
        raise typer.BadParameter(f"{workload!r}; there are: {', '.join(known)}", param_hint="WORKLOAD")
    with connect(stack) as platform, ConsoleProgress() as progress:
        runs_in = workloads_run_in(stack, image)
        try:
            objects = workloads.manifest(
                workload,
                runs_in,
                served=served_kinds(platform.api),
                **({"training": training} if training else {}),
                **({"elastic": True} if elastic else {}),
            )
        except ValueError as unfit:
            raise typer.BadParameter(str(unfit)) from None
        results = put(platform, workload, objects, wait=wait, progress=progress)
    for result in results.values():
        again = f", {result.restarts} restarts" if result.restarts else ""
        out.print(f"{result.name}: done after {result.seconds} s{again}")
        for index, message in sorted(result.messages.items()):
            out.print(f"  pod {index} on {result.nodes.get(index, '?')}", markup=False)
            out.print_json(json.dumps(message))
