"""`python -m workloads.launch [--hosts FILE] -- COMMAND` runs a launcher (mpirun, horovodrun), and ends as
its ranks ended.

The ranks run in other pods, which go when the launcher ends: what rank 0 says of its end (`common.run`), or
the first rank that failed, comes by the launcher's output and becomes the termination message of this pod.
With TRAINING_ID the MLflow run of that training is marked as failed too, where its ranks could not.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workloads import tracking
from workloads.common import WorkloadError, leave, log

SIGNAL = 128
"""A shell's way to say that a process was killed."""
PATIENCE = 300.0
"""Seconds in which every host must answer."""


def meet(hosts: Path, port: int) -> None:
    """Wait until each host of the file answers at the port.

    A job that was in a queue has its launcher started with its workers, not after them, and one whose worker
    was lost before the new worker is there; mpirun waits for nobody whose name is not known yet.

    Raises:
        WorkloadError: one does not answer.
    """
    deadline = time.monotonic() + PATIENCE
    for host in (line.split()[0] for line in hosts.read_text().splitlines() if line.strip()):
        while failure := refusal(host, port):
            if time.monotonic() > deadline:
                raise WorkloadError(
                    f"worker {host} did not answer at port {port} in {PATIENCE:g} s: {failure}; see its pod"
                )
            time.sleep(0.2)


def refusal(host: str, port: int) -> OSError | None:
    """Why nobody can be reached there; None where somebody can."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        return error
    return None


def account(line: str) -> dict[str, Any] | None:
    """What a rank says of its end, if it does in this line, before which a launcher may name the rank."""
    start = line.find("{")
    if start < 0:
        return None
    try:
        said = json.loads(line[start:])
    except ValueError:
        return None
    return said if isinstance(said, dict) and ("error" in said or "rank" in said) else None


def told(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Pass the lines on, and give the accounts that are among them."""
    found = []
    for line in lines:
        print(line, end="", flush=True)
        if said := account(line):
            found.append(said)
    return found


def ending(code: int, said: list[dict[str, Any]], command: str) -> tuple[int, dict[str, Any]]:
    """Exit code and termination message: the last account of rank 0, or the first failure.

    A launcher's 0 alone is not believed: when mpirun loses a host with all that ran there, it ends with 0.
    """
    if code == 0:
        account = next((each for each in reversed(said) if each.get("rank") == 0), None)
        if account:
            return 0, account
    first = next((each["error"] for each in said if "error" in each), None)
    unsaid = "any rank said why" if code else "rank 0 said how, as it does when a worker is lost"
    return code or 1, {"error": first or f"{command} ended with {code} before {unsaid}"}


def run(command: list[str]) -> tuple[int, dict[str, Any]]:
    """Exit code and termination message of the command."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as launcher:
        assert launcher.stdout
        said = told(launcher.stdout)
    ended = launcher.returncode if launcher.returncode >= 0 else SIGNAL - launcher.returncode
    return ending(ended, said, command[0])


def tell(training: str, cause: str) -> None:
    """Say in MLflow why a training ended, if the server listens: ranks that were ended by force could not."""
    try:
        tracking.lost(training, cause)
    except Exception as error:
        log("could not mark the run as failed", error=error)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="workloads.launch", description=__doc__)
    parser.add_argument("--hosts", type=Path, help="Wait for each host that is first in a line of this file")
    parser.add_argument("--port", type=int, default=22, help="to answer at this port")
    split = arguments.index("--")
    given, command = parser.parse_args(arguments[:split]), arguments[split + 1 :]
    try:
        if given.hosts:
            meet(given.hosts, given.port)
        code, message = run(command)
    except WorkloadError as error:
        code, message = 1, {"error": str(error)}
    if code and (training := os.environ.get("TRAINING_ID")):
        tell(training, message["error"])
    leave(message)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
