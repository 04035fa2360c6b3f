"""`python -m workloads.torchrun -m MODULE …` is torchrun for pods; it ends as the first rank that failed did.

torchrun itself always ends with 1, so that nobody outside can tell a training that may be tried again from
one that may not (`common.HOPELESS`). And it loads PyTorch only to start one process, which loads it again:
where a pod has but one rank, this starts it alone, with the variables that torchrun would give it. Whoever
made the pod also makes it anew.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

SIGNAL = 128
"""A shell's way to say that a process was killed."""


def ended(code: int) -> int:
    """The exit code for a child's; Python gives the number of a signal as negative."""
    return code if code >= 0 else SIGNAL - code


def alone(environment: Mapping[str, str]) -> bool:
    """Whether this pod has one rank and was told where all ranks meet."""
    return environment.get("PET_NPROC_PER_NODE") == "1" and "PET_MASTER_ADDR" in environment


def place(environment: Mapping[str, str]) -> dict[str, str]:
    """What the one rank of a pod must know, from what torchrun is told."""
    return {
        "RANK": environment["PET_NODE_RANK"],
        "WORLD_SIZE": environment["PET_NNODES"],
        "LOCAL_RANK": "0",
        "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": environment["PET_MASTER_ADDR"],
        "MASTER_PORT": environment["PET_MASTER_PORT"],
    }


def run(arguments: Sequence[str]) -> int:
    """Run `python ARGUMENTS…` as the one rank; returns its exit code. What ends this ends it."""
    child = subprocess.Popen([sys.executable, *arguments], env={**os.environ, **place(os.environ)})

    def pass_on(number: int, _: Any) -> None:
        child.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    return child.wait()


def many() -> None:
    """torchrun, for a pod with several ranks."""
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import main

    try:
        main()
    except ChildFailedError as failed:
        print(failed, file=sys.stderr)
        sys.exit(ended(failed.get_first_failure()[1].exitcode))


if __name__ == "__main__":
    if alone(os.environ):
        sys.exit(ended(run(sys.argv[1:])))
    many()
