"""Commands of the machine that the cluster is built on, run with an error that a person can read."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from local.errors import LocalError


def run(argv: Sequence[str | Path], stdin: str | None = None, where: str = "") -> str:
    """The command's output; a failure raises with the command's own words."""
    try:
        done = subprocess.run(
            [str(a) for a in argv], input=stdin, capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise LocalError(
            f"the command `{argv[0]}` is not on this machine",
            "`seatrial setup` installs what is missing",
        ) from error
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        at = f" ({where})" if where else ""
        raise LocalError(
            f"`{' '.join(str(a) for a in argv)[:200]}` ended with {done.returncode}{at}: {said}",
            "see the message above; `seatrial cluster down` removes what a failed start leaves",
        )
    return done.stdout


def quiet(argv: Sequence[str | Path]) -> bool:
    """Whether the command succeeded; its words are of no interest."""
    done = subprocess.run(
        [str(a) for a in argv], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    return done.returncode == 0
