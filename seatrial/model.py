"""`seatrial model`: put registered versions of models on a platform, and take them away again."""

from typing import Annotated

import typer

import workloads
from client import ClientError, Platform, models, registry, traffic
from client.scaling import Scaling
from infra import outputs
from seatrial import rollout
from seatrial.connection import connect, workloads_run_in
from seatrial.console import ConsoleProgress, out
from seatrial.context import LOCAL_STACK
from seatrial.scale import MaxReplicasOption, RateOption

app = typer.Typer(help="Serve versions of models, and give them their traffic.", no_args_is_help=True)
app.command()(rollout.promote)
app.command()(rollout.status)
app.command()(rollout.rollback)
app.command()(rollout.shadow)
app.command()(rollout.divide)

SERVER = "model-server"
"""The image that models are served from."""
REGISTERED = {"delay": "delay-classifier"}
"""What the registry calls the model that the booking service asks for."""

NameArgument = Annotated[
    str, typer.Argument(help="What routes and protocols call the model, for example delay.")
]
VersionArgument = Annotated[str, typer.Argument(help="The number of a registered version.")]
StackOption = Annotated[str, typer.Option(help="The stack whose platform serves it.")]


@app.command()
def serve(
    name: NameArgument,
    version: Annotated[str | None, typer.Argument(help="The number; the newest, when none is given.")] = None,
    registered: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="What MLflow's registry calls the model; like the versions that are served, or NAME itself "
            "(delay-classifier for delay).",
        ),
    ] = None,
    stack: StackOption = LOCAL_STACK,
    replicas: Annotated[
        int, typer.Option(min=1, help="Pods of this version; with --max-replicas the least.")
    ] = 1,
    max_replicas: MaxReplicasOption = None,
    requests_per_second: RateOption = None,
    memory: Annotated[str, typer.Option(help="What each pod may use, for example 2Gi.")] = models.Size.memory,
    image: Annotated[str | None, typer.Option(help="The model server; for local the one built here.")] = None,
    wait: Annotated[bool, typer.Option(help="Wait until its pods are ready.")] = True,
) -> None:
    """Serve a registered version beside those that are served. It gets no requests by that alone."""
    scaling = scaled(replicas, max_replicas, requests_per_second)
    size = models.Size(replicas=replicas, memory=memory, scaling=scaling)
    with connect(stack) as platform, ConsoleProgress() as progress:
        runs_in = workloads.image_of(workloads_run_in(stack, image), SERVER)
        found = registry.resolve(platform, registered or registered_as(platform, name), version)
        served = models.serve(
            platform, found, name=name, image=runs_in, size=size, wait=wait, progress=progress
        )
    _tell(served)


@app.command("list")
def list_(
    name: Annotated[str | None, typer.Argument(help="One model; all, when none is given.")] = None,
    stack: StackOption = LOCAL_STACK,
) -> None:
    """Show which versions are served, and from which run and files."""
    with connect(stack) as platform:
        chosen = [name] if name else models.names(platform)
        found = [each for model in chosen for each in models.served(platform, model)]
    if not found:
        raise ClientError(
            f"no version of {name} is served" if name else "no model is served",
            "serve one: seatrial model serve NAME [VERSION]",
        )
    for each in found:
        _tell(each)


@app.command()
def withdraw(name: NameArgument, version: VersionArgument, stack: StackOption = LOCAL_STACK) -> None:
    """Take a version away; refused while the model's route names it."""
    with connect(stack) as platform:
        require_unnamed(platform, name, version)
        models.withdraw(platform, name, version)
    out.print(f"{models.service_name(name, version)} is gone")


def scaled(replicas: int, most: int | None, requests_per_second: float | None) -> Scaling | None:
    """How a version is scaled, where it is.

    Raises:
        typer.BadParameter: that is not said, or makes no sense.
    """
    if most is None and requests_per_second is None:
        return None
    if most is None or requests_per_second is None:
        raise typer.BadParameter(
            "the most pods and what each is to get are said both or neither",
            param_hint="--max-replicas, --requests-per-second",
        )
    if most < replicas:
        raise typer.BadParameter(
            f"it must be at least --replicas, {replicas} (got {most})", param_hint="--max-replicas"
        )
    return Scaling(most, requests_per_second)


def registered_as(platform: Platform, name: str) -> str:
    """What the registry calls the model that is served under this name, or is to be.

    Raises:
        ClientError: versions of several are.
    """
    there = sorted({each.model for each in models.served(platform, name)})
    if len(there) > 1:
        raise ClientError(
            f"served as {name} are versions of {', '.join(there)}", "say of which one this is: --from"
        )
    return there[0] if there else REGISTERED.get(name, name)


def require_unnamed(platform: Platform, name: str, version: str) -> None:
    """Refuse to take away what may get requests.

    Raises:
        ClientError: a rule of the model's route names the version.
    """
    route = traffic.read(platform, name)
    if route is not None and version in route.named:
        raise ClientError(
            f"version {version} of {name} may get requests: its route names it",
            f"see what it gets: seatrial model status {name}; give that to another version first (promote, "
            f"divide, shadow); or end the model: kubectl -n {outputs.NAMESPACE_WORKLOADS} delete httproute "
            f"{name}",
        )


def _tell(served: models.Served) -> None:
    state = "ready" if served.ready else "not ready"
    many = f"{served.replicas} to {served.most}" if served.most > served.replicas else f"{served.replicas}"
    out.print(
        f"{served.service}: {state}, {many} pods; version {served.version} of {served.model}, "
        f"run {served.run_id}, files {served.digest}",
        markup=False,
        highlight=False,
    )
