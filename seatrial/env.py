"""`seatrial env` and `seatrial init`: the shell in which the ordinary pulumi and kubectl commands work."""

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from local import engine, toolchain
from seatrial.console import ConsoleProgress, err, out
from seatrial.context import CHECKOUT, LOCAL_STACK, cluster_name
from seatrial.parts import variables

ENGINE_TOOLS = ("pulumi", "kubectl", "helm")
"""Helm renders the charts that the program reads."""


def prepare(install: bool = True) -> dict[str, str]:
    """The variables that pulumi and kubectl need for the local stack; builds them if missing."""
    with ConsoleProgress(err) as progress:
        tools = toolchain.ensure(ENGINE_TOOLS, progress, install)
    return engine.environment(cluster_name(), CHECKOUT, tools) | variables(cluster_name())


def show(
    install: Annotated[bool, typer.Option(help="Build or install what is missing.")] = True,
) -> None:
    """Print shell variables for plain `pulumi`, `kubectl`, `seatrial`: eval "$(.venv/bin/seatrial env)"."""
    prepared = prepare(install)
    # Last: what else is beside this program, such as its Python, is not to hide the machine's own.
    prepared["PATH"] += os.pathsep + str(Path(sys.executable).parent)
    for name, value in sorted(prepared.items()):
        out.print(f"export {name}={shlex.quote(value)}", markup=False)


def init(
    install: Annotated[bool, typer.Option(help="Build or install what is missing.")] = True,
) -> None:
    """Make the local stack known to Pulumi, so that `pulumi up -s local` has something to work on."""
    prepared = prepare(install)
    os.environ.update(prepared)
    engine.init_stack(LOCAL_STACK, CHECKOUT, prepared)
    err.print(f"stack {LOCAL_STACK} is there; its state is in {prepared['PULUMI_BACKEND_URL']}")
