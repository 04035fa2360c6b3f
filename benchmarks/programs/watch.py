"""What every measuring program needs: lines that a parser finds, and what its node was doing meanwhile.

The programs in this folder run in pods, where they lie side by side in one folder. They import nothing of
ours but `workloads`.
"""

import json
import os
from pathlib import Path
from typing import Any


def tell(kind: str, **fields: Any) -> None:
    """One line of JSON; the parsers skip all others."""
    print(json.dumps({"bench": kind, **fields}), flush=True)


def told() -> dict[str, Any]:
    """What the benchmark tells its program."""
    return dict(json.loads(os.environ["BENCHMARK_CONFIG"]))


def look() -> dict[str, Any]:
    """The node's counters now: processor ticks (all and stolen), pages swapped out, load."""
    ticks = [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    pages = dict(line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return {
        "ticks": sum(ticks),
        "stolen": ticks[7],
        "swapped": int(pages.get("pswpout", 0)),
        "load1": float(Path("/proc/loadavg").read_text().split()[0]),
    }


def since(before: dict[str, Any]) -> dict[str, Any]:
    """What a pod saw of its node since `before`; `load1` is of then, without what was measured."""
    now = look()
    ticks = max(now["ticks"] - before["ticks"], 1)
    return {
        "node": os.environ.get("NODE_NAME", ""),
        "cpu": processor(),
        "steal_percent": round(100 * (now["stolen"] - before["stolen"]) / ticks, 2),
        "swapped_pages": now["swapped"] - before["swapped"],
        "load1": before["load1"],
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine
