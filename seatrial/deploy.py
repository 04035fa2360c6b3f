"""`seatrial deploy`: put a reference workload on a platform and wait for it."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

import workloads
from client import ClientError, Platform, offers
from client import deploy as put
from infra import outputs
from seatrial.connection import connect, workloads_run_in
from seatrial.console import ConsoleProgress, out
from seatrial.context import LOCAL_STACK
from seatrial.scale import MaxReplicasOption, RateOption


def deploy(
    workload: Annotated[str, typer.Argument(help="A folder in workloads/, for example ingest_flights.")],
    stack: Annotated[str, typer.Option(help="The stack whose platform runs it.")] = LOCAL_STACK,
    wait: Annotated[bool, typer.Option(help="Wait until it is done and show what it reports.")] = True,
    image: Annotated[
        str | None, typer.Option(help="The image it runs in; for local the one built here.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="What its objects are called; with another name it runs twice.")
    ] = None,
    config: Annotated[str | None, typer.Option(help="Its configuration: reference or tiny.")] = None,
    ranks: Annotated[int | None, typer.Option(min=1, help="Pods that train together.")] = None,
    gpus: Annotated[int | None, typer.Option(min=0, help="GPUs of each of them.")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Pods that search for settings.")] = None,
    form: Annotated[
        str | None, typer.Option(help="A kind that the workload can run as; for tune_delay also Experiment.")
    ] = None,
    training: Annotated[
        str | None, typer.Option(help="The id of an earlier training that goes on from its last checkpoint.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another value of a setting in its config.py."),
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(min=1, help="Pods of a service; with --max-replicas the least.")
    ] = None,
    max_replicas: MaxReplicasOption = None,
    requests_per_second: RateOption = None,
    experiment: Annotated[
        str | None, typer.Option(help="For booking_api: an A/B experiment, as JSON (its README has one).")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="For react: what is done on which alert, as YAML."),
    ] = None,
    elastic: Annotated[
        bool, typer.Option("--elastic", help="Go on with the workers that are left when one is lost.")
    ] = False,
) -> None:
    """Apply a workload's objects, follow its jobs to their end and its services until they are ready."""
    known = workloads.names()
    if workload not in known:
        raise typer.BadParameter(f"{workload!r}; there are: {', '.join(known)}", param_hint="WORKLOAD")
    arguments = [word for change in changes or [] for word in ("--set", change)]
    options = given(
        workload, name=name, config=config, ranks=ranks, gpus=gpus, workers=workers, form=form,
        training=training, replicas=replicas, max_replicas=max_replicas,
        requests_per_second=requests_per_second, experiment=experiment,
        policy=policy and policy.read_text(), elastic=elastic or None, arguments=arguments or None,
    )  # fmt: skip
    with connect(stack) as platform, ConsoleProgress() as progress:
        require_access(platform, workload)
        runs_in = workloads_run_in(stack, image)
        try:
            objects = workloads.manifest(workload, runs_in, **offers(platform), **options)
        except ValueError as unfit:
            raise typer.BadParameter(str(unfit)) from None
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
        hint = "--set" if name == "arguments" else f"--{name.replace('_', '-')}"
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
                f"provision it: seatrial up --with {part}",
            )
