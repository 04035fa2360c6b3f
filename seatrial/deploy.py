"""`seatrial deploy`: put a reference workload on a platform and wait for it."""

import json
from typing import Annotated, Any

import typer

import workloads
from client import ClientError, Platform, served_kinds
from client import deploy as put
from infra import outputs
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
    config: Annotated[str | None, typer.Option(help="Its configuration: reference or tiny.")] = None,
    ranks: Annotated[int | None, typer.Option(min=1, help="Pods that train together.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs of each of them.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Pods that search for settings.")] = None,
    training: Annotated[
        str | None, typer.Option(help="The id of an earlier training that goes on from its last checkpoint.")
    ] = None,
    elastic: Annotated[
        bool, typer.Option("--elastic", help="Go on with the workers that are left when one is lost.")
    ] = False,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another value of a setting in its config.py."),
    ] = None,
) -> None:
    """Apply a workload's objects and follow its jobs to their end."""
    known = workloads.names()
    if workload not in known:
        raise typer.BadParameter(f"{workload!r}; there are: {', '.join(known)}", param_hint="WORKLOAD")
    arguments = [word for change in changes or [] for word in ("--set", change)]
    options = given(
        workload, config=config, ranks=ranks, gpus=gpus, workers=workers, training=training,
        elastic=elastic or None, arguments=arguments or None,
    )  # fmt: skip
    with connect(stack) as platform, ConsoleProgress() as progress:
        require_access(platform, workload)
        runs_in = workloads_run_in(stack, image)
        try:
            objects = workloads.manifest(workload, runs_in, served=served_kinds(platform.api), **options)
        except ValueError as unfit:
            raise typer.BadParameter(str(unfit), param_hint="--image") from None
        results = put(platform, workload, objects, wait=wait, progress=progress)
    for result in results.values():
        again = f", {result.restarts} restarts" if result.restarts else ""
        out.print(f"{result.name}: done after {result.seconds} s{again}")
        for index, message in sorted(result.messages.items()):
            out.print(f"  pod {index} on {result.nodes.get(index, '?')}", markup=False)
            out.print_json(json.dumps(message))


def given(workload: str, **options: Any) -> dict[str, Any]:
    """The options that were given.

    Raises:
        typer.BadParameter: the workload does not have one of them.
    """
    found = {name: value for name, value in options.items() if value is not None}
    for name in found.keys() - workloads.options(workload):
        hint = "--set" if name == "arguments" else f"--{name}"
        raise typer.BadParameter(f"workload {workload} does not have it", param_hint=hint)
    return found


def require_access(platform: Platform, workload: str) -> None:
    """Refuse a workload that needs a part which this platform has not.

    Raises:
        ClientError: it does; the error names the part.
    """
    for part in workloads.parts(workload):
        if not set(outputs.SECRET_ACCESS_OF[part]) <= set(platform.access):
            raise ClientError(
                f"workload {workload} needs the part '{part}', which platform '{platform.name}' has not",
                f"provision it: seatrial up --parts core,{part}, and the parts that are there",
            )
