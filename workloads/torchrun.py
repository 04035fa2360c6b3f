"""`python -m workloads.torchrun` is torchrun that ends as the rank ended that failed first.

torchrun itself always ends with 1, so that nobody outside can tell a training that may be tried again from
one that may not (`common.HOPELESS`).
"""

import sys

from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
from torch.distributed.run import main

SIGNAL = 128
"""A shell's way to say that a process was killed."""


def ended(code: int) -> int:
    """The exit code for a child's; Python gives the number of a signal as negative."""
    return code if code >= 0 else SIGNAL - code


if __name__ == "__main__":
    try:
        main()
    except ChildFailedError as failed:
        print(failed, file=sys.stderr)
        sys.exit(ended(failed.get_first_failure()[1].exitcode))
