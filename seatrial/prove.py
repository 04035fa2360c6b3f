"""`seatrial prove`: put a running platform through its proofs and report."""

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from seatrial.connection import connect
from seatrial.console import ConsoleProgress, err, out
from seatrial.context import reports


def prove(
    stack: Annotated[str, typer.Argument(help="The stack whose platform is judged.")],
    only: Annotated[
        str | None,
        typer.Option(
            help="Subjects, by commas: platform, data, training, tuning, serving, rollout, experiments, "
            "feedback, reaction, drift, monitoring."
        ),
    ] = None,
    without: Annotated[
        str | None, typer.Option(help="Subjects or names of proofs that are left out, by commas.")
    ] = None,
    deadline: Annotated[
        str, typer.Option(help="Proofs not begun by then are listed as not run, e.g. 30m, 90s.")
    ] = "130m",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Run the proofs; exit 0 only if each chosen one passed; an empty or unexplained skip fails."""
    run_proofs(
        stack,
        reports(stack),
        only.split(",") if only else None,
        without.split(",") if without else None,
        deadline=seconds(deadline),
        as_json=as_json,
    )


def run_proofs(
    stack: str,
    folder: Path,
    only: Sequence[str] | None = None,
    without: Sequence[str] | None = None,
    deadline: float = 7800.0,
    as_json: bool = False,
    timeline: Path | None = None,
) -> None:
    """Run, write the reports into `folder`, show the table (or JSON); a red proof ends the command with 1."""
    from proofs import pages, report, run

    began = time.time()
    with connect(stack) as platform, ConsoleProgress(err if as_json else out) as progress:
        try:
            chosen = run.choose(run.discover(), only, without)
        except ValueError as unknown:
            raise typer.BadParameter(str(unknown), param_hint="--only, --without") from None
        results = run.prove(platform, deadline=deadline, progress=progress, proofs=chosen)
        progress.begin("look at the dashboards")
        seen = pages.look(platform, began)
        progress.end("look at the dashboards", seen.get("error", ""))
    files = report.write(results, folder, stack=stack, timeline=timeline, seen=seen)
    if as_json:
        out.print_json(json.dumps(run.brief(results)))
    else:
        out.print(report.table(results))
        # Once more at the end, where people and logs that are cut off still show it.
        for line in report.red(results):
            out.print(line, style="red", markup=False)
        out.print(f"{report.summary(results)}\nreport: {files['html']}", markup=False)
    if not run.ok(results):
        raise typer.Exit(1)


def seconds(text: str, option: str = "--deadline") -> float:
    """`90s`, `30m` or `2h` in seconds.

    Raises:
        typer.BadParameter: it is none of these.
    """
    match = re.fullmatch(r"(\d+)([smh])", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is no time; write for example 90s, 30m or 2h", param_hint=option)
    return int(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]
