"""`seatrial deploy`: put a reference workload on a platform and wait for it."""

import json
from typing import Annotated

import typer

import workloads
from client import deploy as put
from client import offers
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
    form: Annotated[
        str | None, typer.Option(help="A kind that the workload can run as; for tune_delay also Experiment.")
    ] = None,
    training: Annotated[
        str | None, typer.Option(help="The id of an earlier training that goes on from its last checkpoint.")
    ] = None,
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
                **offers(platform),
                **{name: given for name, given in (("form", form), ("training", training)) if given},
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
