"""What a process does before it begins its work, and how long each part takes.

Counted from the start of the container, so that what starts the process is in it too. One line of the log has
it all:

    began container=1766000000.12 launch=0.21 import=2.4 … first_step=0.3
"""

import os
import time
from pathlib import Path

from workloads.common import log

CONTAINER = 1
"""The first process of a container."""


class Beginning:
    """Says `mark(part)` at each part's end, and `over(part)` at the last one's."""

    def __init__(self) -> None:
        now = time.time()
        own = started(os.getpid(), now)
        # Outside a container the first process is the machine's own.
        first = started(CONTAINER, now) if Path("/dev/termination-log").exists() else own
        self.container = first
        self.parts: dict[str, float] = {"launch": own - first, "import": now - own}
        self.last = now
        self.told = False

    def mark(self, part: str) -> None:
        now = time.time()
        self.parts[part] = now - self.last
        self.last = now

    def over(self, part: str) -> None:
        """Tell, in one line of the log, when the container was started and what each part took; once."""
        if self.told:
            return
        self.told = True
        self.mark(part)
        seconds = {part: round(took, 3) for part, took in self.parts.items()}
        log("began", container=round(self.container, 3), **seconds)


def started(process: int, now: float) -> float:
    """When a process was started, in seconds since 1970, to a hundredth."""
    # The name, in brackets, may hold spaces; the start is the 22nd field of all.
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    ticks = int(after_name[19]) / os.sysconf("SC_CLK_TCK")
    up = float(Path("/proc/uptime").read_text().split()[0])
    return now - (up - ticks)
