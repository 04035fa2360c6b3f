"""`python -m workloads.launch -- COMMAND` runs a launcher (mpirun, horovodrun), and ends as its ranks ended.

The ranks run in other pods, which go when the launcher ends: what rank 0 says of its end (`common.run`), or
the first rank that failed, comes by the launcher's output and becomes the termination message of this pod.
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from typing import Any

from workloads.common import leave

SIGNAL = 128
"""A shell's way to say that a process was killed."""


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
    return code or 1, {"error": first or f"{command} ended with {code} before any rank said why"}


def main(command: list[str]) -> int:
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as launcher:
        assert launcher.stdout
        said = told(launcher.stdout)
    ended = launcher.returncode if launcher.returncode >= 0 else SIGNAL - launcher.returncode
    code, message = ending(ended, said, command[0])
    leave(message)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :]))
