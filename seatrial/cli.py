"""The command `seatrial`: assembles the commands and turns errors into messages and exit codes."""

import os
import sys

import typer

from benchmarks.errors import BenchmarkError
from client.errors import ClientError
from infra.errors import SettingsError
from local import engine
from local.errors import LocalError
from seatrial import (
    alerts,
    bench,
    cluster,
    deploy,
    down,
    env,
    experiment,
    images,
    model,
    open_,
    prove,
    setup,
    status,
    up,
)
from seatrial.console import err
from seatrial.provision import ProvisionError

INTERRUPTED = 130
EXIT_CODES = {
    0: "done",
    1: "a proof or a benchmark failed, or a component is not healthy",
    2: "the call was wrong",
    3: "this machine lacks something; the message says what to do",
    4: "the platform could not be provisioned or reached",
    INTERRUPTED: "interrupted; the next run carries on",
}

app = typer.Typer(
    name="seatrial",
    help="Provision a complete machine-learning platform on Kubernetes and put it through its sea trial.\n\n"
    "Start with `seatrial up`: it builds what this machine lacks, starts a cluster, provisions "
    "the platform, runs a first workload and reports. `seatrial down` takes all of it away again.",
    epilog="Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in EXIT_CODES.items()) + ".",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.command()(setup.setup)
app.command()(env.init)
app.command("env")(env.show)
app.command()(up.up)
app.command()(deploy.deploy)
app.command()(prove.prove)
app.command()(status.status)
app.command("open")(open_.open_)
app.command()(down.down)
app.command()(down.purge)
app.add_typer(alerts.app, name="alerts")
app.add_typer(bench.app, name="bench")
app.add_typer(cluster.app, name="cluster")
app.add_typer(experiment.app, name="experiment")
app.add_typer(images.app, name="images")
app.add_typer(model.app, name="model")


def main() -> None:
    """Run the command line; exits with one of `EXIT_CODES`."""
    os.environ.update(engine.without_proxy(os.environ))
    try:
        app(prog_name="seatrial")
    except LocalError as wrong:
        _show(wrong)
        sys.exit(3)
    except (BenchmarkError, ClientError, ProvisionError, SettingsError) as wrong:
        _show(wrong)
        sys.exit(4)
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            err.print("[yellow]interrupted[/yellow]: nothing is lost; the same command carries on")
        raise


def _show(error: Exception) -> None:
    err.print("[red]error:[/red] ", end="")
    err.print(str(error), markup=False)
