"""`seatrial bench`: measure a running platform; `seatrial bench check`: judge what was measured."""

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from client import Platform
from seatrial.connection import connect, workloads_run_in
from seatrial.console import ConsoleProgress, err, out
from seatrial.context import LOCAL_STACK, reports
from seatrial.prove import seconds

if TYPE_CHECKING:
    from benchmarks.benchmark import Benchmark
    from benchmarks.results import Results

INTERRUPTED = 130


class RunUnlessNamed(TyperGroup):
    """`bench STACK` is `bench run STACK`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and (args[0] in self.commands or args[0] == "--help")
        return super().parse_args(ctx, args if named else ["run", *args])


app = typer.Typer(
    cls=RunUnlessNamed,
    no_args_is_help=False,
    help="Measure a running platform (`seatrial bench [STACK]` is `seatrial bench run [STACK]`), and judge "
    "what was measured (`seatrial bench check FILE…`).",
)


@app.command()
def run(
    stack: Annotated[str, typer.Argument(help="The stack whose platform is measured.")] = LOCAL_STACK,
    only: Annotated[str | None, typer.Option(help="Benchmarks, by commas; wildcards allowed.")] = None,
    pairs: Annotated[
        int | None,
        typer.Option(min=1, help="Pairs that each benchmark measures; 30, or 2 of those that take minutes."),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="No new pair of a benchmark begins after that time, e.g. 10m, 90s.")
    ] = None,
    extend: Annotated[
        bool,
        typer.Option(help="Measure on to twice, then four times the pairs while a verdict is inconclusive."),
    ] = False,
    image: Annotated[
        str | None, typer.Option(help="The workloads' image; for local the one built here.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure pairs of two sides in random order and write a file a benchmark; judges nothing.

    What was measured stays, however it ends: Ctrl-C ends with 130, a benchmark that failed with 1.
    """
    from benchmarks import benchmark, report
    from benchmarks.run import Order

    chosen = choose(only)
    order = partial(
        Order,
        stack=stack,
        image=workloads_run_in(stack, image),
        folder=reports(stack) / "bench",
        budget=seconds(budget, "--budget") if budget else None,
        looks=3 if extend else 1,
    )
    ran: list[Results] = []
    with connect(stack) as platform, ConsoleProgress(err if as_json else out) as progress:
        for entry in chosen:
            if lacks := benchmark.lacking(entry, platform):
                progress.say(f"  – {entry.name} is not run: this platform has no {', '.join(lacks)}")
                continue
            ran.append(measure(entry, platform, order(pairs=pairs or entry.pairs), progress))
            if ran[-1].run.ended == "interrupted":
                break
    for results in () if as_json else ran:
        out.print(report.measured(results))
        how = "" if results.run.complete else f", {results.run.ended}: {results.run.reason}"
        file = reports(stack) / "bench" / f"{results.run.benchmark}.json"
        out.print(f"{len(results.pairs)} pairs{how}\nresults: {file}\n", markup=False)
    if as_json:
        out.print_json(json.dumps([json.loads(results.to_json()) for results in ran]))
    finish(ran)


def choose(only: str | None) -> "list[Benchmark]":
    from benchmarks import benchmark

    try:
        return benchmark.choose(benchmark.discover(), only.split(",") if only else None)
    except ValueError as unknown:
        raise typer.BadParameter(str(unknown), param_hint="--only") from None


def measure(entry: "Benchmark", platform: Platform, order: Any, progress: ConsoleProgress) -> "Results":
    """One benchmark, looked at as often as the order allows and the verdicts need."""
    from benchmarks import check, expectations
    from benchmarks import run as measuring

    progress.begin(f"benchmark {entry.name}")
    results = measuring.measure(entry, platform, order, progress)
    while results.run.look < order.looks and results.run.ended == "done":
        verdicts = check.judge(results, expectations.read(entry.name)).verdicts
        if "inconclusive" not in {each.verdict for each in verdicts if each.role == "gate"}:
            break
        results = measuring.measure(entry, platform, order, progress, earlier=results)
    progress.end(f"benchmark {entry.name}", f"{len(results.pairs)} pairs, {results.run.ended}")
    return results


def finish(ran: "list[Results]") -> None:
    """End as the worst run did; that nothing could be run is no success."""
    ended = {results.run.ended for results in ran}
    if "interrupted" in ended:
        raise typer.Exit(INTERRUPTED)
    if not ran or "failed" in ended:
        raise typer.Exit(1)


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Files that `seatrial bench` wrote.")],
    junit: Annotated[Path | None, typer.Option(help="Also write JUnit XML there.")] = None,
    evidence: Annotated[
        bool, typer.Option(help="Print what the runs say as evidence for benchmarks/expectations/.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the judged results as JSON.")] = False,
) -> None:
    """Judge results by what is expected of them.

    Exit 1 on a regression, an invalid run or a metric that is missing; an inconclusive verdict only warns.
    """
    from benchmarks import check as judging
    from benchmarks import expectations, report
    from benchmarks.errors import BenchmarkError
    from benchmarks.results import Results

    try:
        read = [Results.read(file) for file in files]
        judged = [(each, judging.judge(each, expectations.read(each.run.benchmark))) for each in read]
    except BenchmarkError as wrong:
        raise typer.BadParameter(str(wrong), param_hint="FILES") from None
    if junit:
        junit.parent.mkdir(parents=True, exist_ok=True)
        junit.write_text(report.junit(judged))
    if as_json:
        whole = [results.model_copy(update={"comparison": comparison}) for results, comparison in judged]
        out.print_json(json.dumps([json.loads(each.to_json()) for each in whole]))
    else:
        for results, comparison in judged:
            out.print(report.verdicts(comparison))
            out.print(f"{report.summary(results, comparison)}\n", markup=False)
            if evidence:
                out.print(report.evidence(results, comparison), markup=False)
    if not all(judging.ok(comparison) for _, comparison in judged):
        raise typer.Exit(1)
