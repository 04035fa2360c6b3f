"""`seatrial model promote|status|rollback|shadow|divide`: which version of a model gets how much traffic."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from client import ClientError, Platform, live, models, rollouts, traffic
from client.judging import Limits
from client.rollout_record import STABLE, Record, record_of
from client.traffic import STEERED, Route
from seatrial.connection import connect
from seatrial.console import ConsoleProgress, out
from seatrial.context import LOCAL_STACK
from seatrial.prove import seconds

Stack = Annotated[str, typer.Option(help="The stack.")]
Name = Annotated[str, typer.Argument(help="What the route and the protocol call the model, e.g. delay.")]
Version = Annotated[str, typer.Argument(help="A version that is served: seatrial model list NAME.")]
AsJson = Annotated[bool, typer.Option("--json", help="Machine-readable.")]
DEFAULTS = Limits()


def promote(
    name: Name,
    version: Version,
    to: Annotated[str, typer.Option(help="canary: a small share; stable: all requests.")] = "canary",
    steps: Annotated[
        str | None, typer.Option(help="Percent of the requests, rising; 1,5 or 1,5,25,50,100.")
    ] = None,
    requests: Annotated[
        int, typer.Option(min=1, help="Requests that it must have answered before a step is judged.")
    ] = DEFAULTS.requests,
    errors: Annotated[
        float, typer.Option(min=0, max=100, help="Percent of its answers that may be 5xx.")
    ] = 100 * DEFAULTS.errors,
    p99: Annotated[float, typer.Option(min=0, help="Seconds within which 99 % must be answered.")] = (
        DEFAULTS.p99_seconds
    ),
    p99_ratio: Annotated[
        float, typer.Option(min=1, help="The same, as a multiple of the stable version's.")
    ] = DEFAULTS.p99_ratio,
    patience: Annotated[str, typer.Option(help="How long a step waits for its requests.")] = "5m",
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the versions before running when it is stable.")
    ] = False,
    stack: Stack = LOCAL_STACK,
) -> None:
    """Give a version its traffic step by step; exit 1 if it did not do well and was rolled back.

    Between the steps its error rate, its times, its restarts and, once outcomes are known, its accuracy are
    judged, against limits and against the stable version. Ctrl-C leaves the last good step; the same call
    goes on from there.
    """
    limits = Limits(requests, errors / 100, p99, p99_ratio, seconds(patience, "--patience"))
    chosen = percents(to, steps)
    with connect(stack) as platform, ConsoleProgress() as progress:
        record = rollouts.promote(
            platform, name, version, to=to, steps=chosen, limits=limits, keep=keep, progress=progress
        )
    tell(name, record)
    if record.ended not in (to, STABLE):
        raise typer.Exit(1)


def rollback(name: Name, stack: Stack = LOCAL_STACK) -> None:
    """Give back the weights from before the last rollout, at once; also ends one that is under way."""
    with connect(stack) as platform:
        tell(name, rollouts.rollback(platform, name))


def shadow(
    name: Name,
    version: Annotated[str | None, typer.Argument(help="A served version without traffic.")] = None,
    off: Annotated[bool, typer.Option("--off", help="Send no more copies.")] = False,
    stack: Stack = LOCAL_STACK,
) -> None:
    """Send a copy of each request also to this version; nobody sees its answers but its metrics."""
    if off == (version is not None):
        raise typer.BadParameter("name a version, or --off", param_hint="VERSION")
    with connect(stack) as platform, ConsoleProgress() as progress:
        rollouts.shadow(platform, name, version, progress)
    out.print(f"{name}: version {version} gets copies" if version else f"{name}: no version gets copies")


def divide(
    name: Name,
    variants: Annotated[
        list[str] | None, typer.Argument(help="VARIANT=VERSION, for example stable=3 canary=4.")
    ] = None,
    stack: Stack = LOCAL_STACK,
) -> None:
    """Send requests with the header `x-variant` to the version of that variant; without any, to none."""
    chosen: dict[str, str] = {}
    for word in variants or []:
        variant, _, version = word.partition("=")
        if not (variant and version):
            raise typer.BadParameter(f"{word!r}; write for example canary=4", param_hint="VARIANTS")
        chosen[variant] = version
    with connect(stack) as platform:
        rollouts.divide(platform, name, chosen)
    told = ", ".join(f"{variant} → version {version}" for variant, version in chosen.items())
    out.print(f"{name}: {told or 'no variants'}", markup=False)


def status(name: Name, stack: Stack = LOCAL_STACK, as_json: AsJson = False) -> None:
    """Which versions are served, what each gets, and how far a rollout is."""
    with connect(stack) as platform:
        found = observe(platform, name)
    if as_json:
        out.print_json(json.dumps(found))
        return
    table = Table("version", "gets", "ready", "requests", "failed", "p99")
    for row in found["versions"]:
        table.add_row(row["version"], row["gets"], "yes" if row["ready"] else "no", *map(str, row["counted"]))
    out.print(table)
    if found["rollout"]:
        out.print(describe(name, found["rollout"]), markup=False)
    if found["steered"]:
        out.print(f"Deployment {found['steered']} moves the weights", markup=False)


def observe(platform: Platform, name: str) -> dict[str, Any]:
    """What `status` shows. Requests are counted since each server began.

    Raises:
        ClientError: the model is neither served nor has it a route.
    """
    route, served = traffic.read(platform, name), models.served(platform, name)
    if route is None and not served:
        raise ClientError(
            f"there is no model '{name}' on platform '{platform.name}'",
            f"serve a version of it: seatrial model serve {name}",
        )
    now, rows = live.look(platform, name), []
    for entry in served:
        counts = live.since(live.Look(), now, entry.version)
        p99 = f"{1000 * counts.quantile(0.99):.0f} ms" if counts.requests else ""
        rows.append(
            {
                "version": entry.version,
                "gets": gets(route, entry.version),
                "ready": entry.ready,
                "counted": [counts.requests, counts.failed, p99],
            }
        )
    record = record_of(route) if route else None
    steered = route.note(STEERED) if route else None
    return {
        "versions": rows,
        "rollout": asdict(record) if record else None,
        "steered": steered["by"] if steered else None,
    }


def gets(route: Route | None, version: str) -> str:
    """The part of the requests that a version gets, in words."""
    if route is None or version not in route.named:
        return "nothing"
    parts = [f"{100 * route.shares[version]:g} %"] if version in route.weights else []
    parts += [f"variant {variant}" for variant, of in route.variants.items() if of == version]
    return ", ".join([*parts, *(["copies (shadow)"] if route.shadow == version else [])])


def tell(name: str, record: Record) -> None:
    """How a rollout ended."""
    style = None if record.ended in rollouts.STEPS else "red"
    out.print(describe(name, asdict(record)), style=style, markup=False)


def describe(name: str, rollout: dict[str, Any]) -> str:
    """A rollout in a line, and what was not known when it was judged."""
    done = f"{rollout['passed']} of {len(rollout['steps'])} steps passed"
    state = rollout["ended"] or "under way, or killed"
    why = f": {rollout['reason']}" if rollout["reason"] else ""
    line = f"{name} version {rollout['version']} to {rollout['to']}: {state}{why} ({done})"
    return "\n".join([line, *(f"  not judged: {note}" for note in rollout["notes"])])


def percents(to: str, text: str | None) -> tuple[float, ...]:
    """`1,5,25` as steps that lead to the aim; those of the aim where none are given.

    Raises:
        typer.BadParameter: one of them is no number, or they lead nowhere.
    """
    try:
        return rollouts.fitting(to, [float(word) for word in text.split(",")] if text else None)
    except ValueError:
        raise typer.BadParameter(f"{text!r}; write for example 1,5,25", param_hint="--steps") from None
    except ClientError as unfit:
        raise typer.BadParameter(f"{unfit.what}; {unfit.todo}", param_hint="--to and --steps") from None
