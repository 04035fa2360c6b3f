"""`seatrial experiment`: what an A/B experiment says so far."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from seatrial.connection import connect
from seatrial.console import out
from seatrial.context import LOCAL_STACK

if TYPE_CHECKING:
    from client.evidence import Interval
    from client.experiments import Arm, Report

app = typer.Typer(no_args_is_help=True, help="Experiments: what they say, however often one looks.")

MEANINGS = {
    "higher": "its mean is higher than the control's",
    "lower": "its mean is lower than the control's",
    "equal": "they differ by less than the margin",
    "undecided": "not decided; go on, or stop without an answer",
}


@app.callback()
def experiment() -> None:
    """Keeps `report` a command of its own while it is the only one."""


@app.command()
def report(
    name: Annotated[str, typer.Argument(help="The experiment's name.")],
    stack: Annotated[str, typer.Option(help="The stack whose log is read.")] = LOCAL_STACK,
    arms: Annotated[
        str | None,
        typer.Option(
            help="Arms with their shares, the control first; default: those of the running experiment."
        ),
    ] = None,
    metric: Annotated[str | None, typer.Option(help="hit (the default), outcome, score or price.")] = None,
    every_request: Annotated[
        bool, typer.Option("--every-request", help="Count each request, not the first one of each user.")
    ] = False,
    alpha: Annotated[
        float | None, typer.Option(help="How often equal arms may be called different; 0.05 if not said.")
    ] = None,
    expected: Annotated[
        int | None, typer.Option(help="Users after which a difference is to be found; 2000 if not said.")
    ] = None,
    margin: Annotated[
        float | None, typer.Option(help="Arms that differ by less are called equal; none are if not said.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare the arms by the outcomes that are known; look as often as you like.

    Settle metric, alpha, expected and margin before the first look. Exit 1 where nothing may be concluded.
    """
    from client import experiments

    with connect(stack) as platform:
        shares = parse(arms) if arms else experiments.shares(platform, name)
        given: dict[str, Any] = {"metric": metric, "alpha": alpha, "expected": expected, "margin": margin}
        said = {option: value for option, value in given.items() if value is not None}
        question = experiments.Question(name=name, shares=shares, every_request=every_request, **said)
        found = experiments.report(platform, question)
    if as_json:
        out.print_json(found.to_json())
    else:
        show(found)
    if found.refusals:
        raise typer.Exit(1)


def parse(text: str) -> dict[str, float]:
    """`stable=0.9,canary=0.1` as shares.

    Raises:
        typer.BadParameter: it is not like that.
    """
    try:
        pairs = [word.split("=") for word in text.split(",")]
        shares = {name.strip(): float(share) for name, share in pairs}
    except ValueError:
        raise typer.BadParameter(
            f"{text!r}; write for example stable=0.9,canary=0.1", param_hint="--arms"
        ) from None
    if len(shares) < len(pairs):
        raise typer.BadParameter(f"{text!r} names an arm twice", param_hint="--arms")
    return shares


def show(found: "Report") -> None:
    """The arms, and what may be concluded."""
    out.print(arms_table(found))
    for line in found.refusals:
        out.print(f"no conclusion: {line}", style="red", markup=False)
    if found.comparisons:
        out.print(comparisons_table(found))
    for each in found.comparisons:
        out.print(f"{each.arm}: {each.verdict}: {MEANINGS[each.verdict]}", markup=False)
    if not found.comparisons and not found.refusals:
        out.print("no outcomes yet in one of the arms", markup=False)


def arms_table(found: "Report") -> Table:
    table = Table(title=f"{found.experiment}: {found.metric}", title_justify="left")
    for column in ("arm", "share", "users", "counted", "mean", f"{level(found.alpha)}, once"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for arm in found.arms:
        table.add_row(*row(arm, arm.name == found.control))
    return table


def row(arm: "Arm", control: bool) -> list[str]:
    mean = "–" if arm.mean is None else f"{arm.mean:.4f}"
    name = f"{arm.name} (control)" if control else arm.name
    return [name, f"{arm.share:g}", f"{arm.assigned:,}", f"{arm.scored:,}", mean, span(arm.interval)]


def comparisons_table(found: "Report") -> Table:
    table = Table(title=f"difference to {found.control}", title_justify="left")
    sure = level(found.alpha / max(len(found.arms) - 1, 1))
    for column in ("arm", "difference", f"{sure}, however often one looks", f"{sure}, if looked at once"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    for each in found.comparisons:
        always = span(each.always) if each.always else "too few values"
        table.add_row(each.arm, f"{each.difference:+.4f}", always, span(each.once))
    return table


def level(alpha: float) -> str:
    return f"{100 * (1 - alpha):g} %"


def span(interval: "Interval | None") -> str:
    return "–" if interval is None else f"{interval.low:.4f} … {interval.high:.4f}"
