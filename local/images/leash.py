"""Runs programs that mount and fork, so that nothing of them outlives us, however we end.

Each gets a mount namespace and a process namespace of its own. When we die, the kernel kills `unshare`, whose
death kills the first process of the namespace and with it all others; the mounts go with the namespace.
"""

import collections
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.images import places

_PREFIX = (
    "setpriv", "--pdeathsig", "KILL",
    "unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip

_KEPT = 60


class Failed(Exception):
    """A program ended with an error; `lines` are the last that it printed."""

    def __init__(self, command: Sequence[str], lines: list[str]) -> None:
        super().__init__(f"{command[0]} failed")
        self.lines = lines


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> list[str]:
    """Run to the end with all output in `log`; the last lines of it come back.

    Raises:
        Failed: the program's exit status is not 0.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    last: collections.deque[str] = collections.deque(maxlen=_KEPT)
    with (
        log.open("ab", buffering=0) as kept,
        subprocess.Popen(
            [*_PREFIX, *words],
            # What is killed leaves its temporary files where the next build removes them.
            env={**os.environ, "TMPDIR": str(places.temporary()), **(environment or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C reaches us alone, and we end it
        ) as process,
    ):
        try:
            assert process.stdout
            for line in process.stdout:
                last.append(line.rstrip())
                try:
                    kept.write(line.encode())
                except OSError:  # a full disk: the last lines are kept in memory and say so
                    pass
            status = process.wait()
        except BaseException:
            process.kill()
            raise
    if status != 0:
        raise Failed(words, list(last))
    return list(last)
