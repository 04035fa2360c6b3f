"""`seatrial alerts`: what fires or is about to, and silences."""

import getpass
import json
import socket
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from client import alerts
from client.alerts import Alert, Silence, Situation
from seatrial.connection import connect
from seatrial.console import duration, out
from seatrial.context import LOCAL_STACK
from seatrial.prove import seconds

app = typer.Typer(invoke_without_command=True)

StackOption = Annotated[str, typer.Option(help="The stack.")]
LONGEST = 365 * 24 * 3600
"""Seconds. Who wants no alert at all takes its rule away."""
COLOURS = {"critical": "red", "warning": "yellow"}
SAID = {
    "": "nobody is told yet: it has not held for long enough",
    alerts.UNPROCESSED: "Alertmanager has just got it",
    alerts.UNKNOWN: "Alertmanager has not got it: what is new, or older than a restart, is sent in a minute",
    alerts.SILENCED: "not told: silenced",
    alerts.INHIBITED: "not told: a worse alert explains it",
    alerts.MUTED: "not told at this time of day",
}
"""What Alertmanager does with an alert that its receivers are not told of."""


@app.callback()
def show(
    context: typer.Context,
    stack: StackOption = LOCAL_STACK,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """List what fires or is pending, since when, and its runbook.

    Silences are listed too. Exit 1 if Alertmanager does not answer, so that nobody is told.
    """
    if context.invoked_subcommand:
        if stack != LOCAL_STACK or as_json:
            raise typer.BadParameter(f"write it behind {context.invoked_subcommand}", param_hint="options")
        return
    with connect(stack) as platform:
        found = alerts.look(platform)
    if as_json:
        out.print_json(to_json(found))
    else:
        tell(found, datetime.now(UTC))
    if found.away:
        raise typer.Exit(1)


@app.command()
def silence(
    name: Annotated[str, typer.Argument(help="The alert, for example TrinoDown.")],
    lasting: Annotated[str, typer.Option("--for", help="How long, for example 30m or 2h.")],
    reason: Annotated[str, typer.Option(help="What whoever finds the silence is to know.")],
    namespace: Annotated[
        str | None, typer.Option(help="Only the alerts of this namespace; all, when none is given.")
    ] = None,
    by: Annotated[
        str | None, typer.Option(help="Who silences it; default: your account and this machine.")
    ] = None,
    stack: StackOption = LOCAL_STACK,
) -> None:
    """Let nobody be told of an alert for some time. It goes on to be evaluated and listed."""
    span = seconds(lasting, "--for")
    if not 0 < span <= LONGEST:
        raise typer.BadParameter(f"{lasting!r}; at least 1s, at most {LONGEST // 3600}h", param_hint="--for")
    if not reason.strip():
        raise typer.BadParameter("say what whoever finds the silence is to know", param_hint="--reason")
    with connect(stack) as platform:
        made = alerts.silence(
            platform,
            name,
            namespace=namespace,
            lasting=timedelta(seconds=span),
            by=by or f"{getpass.getuser()}@{socket.gethostname()}",
            reason=reason,
        )
        found = alerts.look(platform).alerts
    out.print(_silence(made, datetime.now(UTC)), markup=False)
    for line in silenced_now(found, name, namespace):
        out.print(line, markup=False)
    out.print(f"end it: seatrial alerts unsilence {made.id}" + _of(stack), markup=False)


@app.command()
def unsilence(
    id_: Annotated[str, typer.Argument(metavar="ID", help="The id of the silence: seatrial alerts.")],
    stack: StackOption = LOCAL_STACK,
) -> None:
    """End a silence before its time."""
    with connect(stack) as platform:
        ended = alerts.unsilence(platform, id_)
    out.print(f"ended: {ended.matchers}", markup=False)


def silenced_now(found: list[Alert], name: str, namespace: str | None) -> list[str]:
    """What is silenced by that now: a silence of nothing may be a mistake."""
    named = [each for each in found if each.name == name]
    about = [each for each in named if namespace in (None, each.namespace)]
    if about:
        return [f"silenced now: {_where(each)}, {each.state}" for each in about]
    elsewhere = sorted(
        {each.namespace or "none, which only a silence without --namespace meets" for each in named}
    )
    return [
        "nothing that fires or is pending is silenced by that",
        *(f"{name} is active in namespace {each}" for each in elsewhere),
    ]


def to_json(found: Situation) -> str:
    """Times are ISO 8601."""
    return json.dumps(asdict(found), default=_iso)


def _iso(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is no datetime")


def tell(found: Situation, now: datetime) -> None:
    """The alerts with what to do, then the silences."""
    for alert in found.alerts:
        colour = COLOURS.get(alert.severity, "") if alert.state == alerts.FIRING else "dim"
        out.print(f"{alert.state:8}{_where(alert)}  {alert.severity}", style=colour, markup=False)
        for line in _lines(alert, now):
            out.print(f"        {line}", markup=False)
    if not found.alerts:
        out.print("nothing fires, and nothing is pending")
    for each in found.silences:
        out.print(_silence(each, now), markup=False)
    if found.away:
        out.print(found.away, style="red", markup=False)


def _where(alert: Alert) -> str:
    return f"{alert.name} in {alert.namespace}" if alert.namespace else alert.name


def _lines(alert: Alert, now: datetime) -> list[str]:
    held = duration(max((now - alert.since).total_seconds(), 0))
    lines = [
        alert.summary,
        f"since {_time(alert.since)}, {held}",
        SAID.get(alert.notification) or f"Alertmanager tells: {', '.join(alert.receivers)}",
        alert.runbook,
    ]
    return [line for line in lines if line]


def _silence(each: Silence, now: datetime) -> str:
    until = f"until {_time(each.until)}, {duration(max((each.until - now).total_seconds(), 0))} left"
    begins = f" from {_time(each.start)}" if each.state == "pending" else ""
    return f"silence {each.id}: {each.matchers}{begins} {until}; by {each.by}: {each.reason}"


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _of(stack: str) -> str:
    return "" if stack == LOCAL_STACK else f" --stack {stack}"
