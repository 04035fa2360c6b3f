"""One run of a Pulumi program, as the engine describes it."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SAID = 32
"""Exit status of a program that has told its user what is wrong (as in runner.py)."""


@dataclass(frozen=True)
class Refused(Exception):
    """The program cannot even be started; says why and what to do."""

    what: str

    def __str__(self) -> str:
        return self.what


def interpreter(info: Any) -> Path:
    """The Python that runs the program: the project's virtual environment where Pulumi.yaml names one.

    Raises:
        Refused: the virtual environment is not there.
    """
    named = dict(info.options).get("virtualenv")
    if not named:
        return Path(sys.executable)
    python = Path(info.root_directory, str(named), "bin", "python")
    if not python.exists():
        raise Refused(
            f"the virtual environment that Pulumi.yaml names has no Python: {python}\n"
            "  what to do: `make setup` in the folder of Pulumi.yaml"
        )
    return python


def run(request: Any, engine: str) -> int:
    """Run the program to its end; what it prints goes to the engine's log. Returns its exit status."""
    program = Path(request.info.program_directory or request.pwd, request.info.entry_point or ".")
    order = {
        "program": str(program),
        "pwd": request.pwd,
        "arguments": list(request.args),
        "secret_config": list(request.configSecretKeys),
        "settings": {
            "monitor": request.monitor_address,
            "engine": engine,
            "project": request.project,
            "stack": request.stack,
            "parallel": request.parallel,
            "dry_run": request.dryRun,
            "organization": request.organization,
            "root_directory": request.info.root_directory,
        },
    }
    # In the environment, not on the command line, which every user of the machine can read.
    environment = os.environ | {
        "PYTHONUNBUFFERED": "1",
        "SEATRIAL_PROGRAM": json.dumps(order),
        "PULUMI_CONFIG": json.dumps(dict(request.config)),
        "PULUMI_CONFIG_SECRET_KEYS": json.dumps(list(request.configSecretKeys)),
    }
    runner = Path(__file__).with_name("runner.py")
    command = [str(interpreter(request.info)), str(runner)]
    return subprocess.run(command, env=environment, check=False).returncode
