"""An all-reduce by message size: what `benchmarks/programs/collectives.py` is told, and what it gives.

`algbw` is bytes / time; `busbw` is algbw x 2(n-1)/n, as nccl-tests has it, and comparable over numbers n of
ranks; time is the slowest rank's. One rank has no bus: its factor is 0.
"""

from benchmarks.benchmark import Metric, Turn
from benchmarks.pods import Reading, of_kind, records, seen

PROGRAM = "collectives"
SIZES = {
    "4KiB": 4 << 10, "16KiB": 16 << 10, "64KiB": 64 << 10, "256KiB": 256 << 10, "1MiB": 1 << 20,
    "4MiB": 4 << 20, "16MiB": 16 << 20, "64MiB": 64 << 20,
}  # fmt: skip
CASES = tuple(SIZES)
LATENCY_AT = "4KiB"
RANKS = 2
Told = dict[str, str | int | float | bool]
CONFIG: Told = {
    "sizes": " ".join(str(size) for size in SIZES.values()),
    "small": 256 << 10,
    "iterations_small": 100,
    "iterations": 10,
    "copies": 10,
    "ranks": "ranks",
}
METRICS = (
    Metric(
        id="coll.busbw", about="Bytes over the bus per second of the slowest rank.", unit="GB/s",
        better="higher", tier=2, role="gate", cases=CASES,
    ),
    Metric(
        id="coll.algbw", about="Bytes of the message per second.", unit="GB/s", better="higher", tier=2,
        role="trend", cases=CASES,
    ),
    Metric(
        id="coll.latency", about=f"Time of an all-reduce of {LATENCY_AT}.", unit="us", better="lower",
        tier=2, role="gate",
    ),
    Metric(
        id="coll.memcpy", about="Bytes copied in memory per second, in the same pod.", unit="GB/s",
        better="higher", tier=2, role="trend",
    ),
    Metric(
        id="coll.efficiency", about="busbw / the fastest memcpy of the same pod.", unit="ratio",
        better="higher", tier=2, role="trend", cases=CASES,
    ),
    Metric(
        id="coll.wrong", about="Values of the checked all-reduce of a size that are not the sum.",
        unit="count", better="lower", tier=0, role="gate",
    ),
)  # fmt: skip


def told(turn: Turn) -> Told:
    """What the program is told in this turn: it also says in which order the sizes come."""
    return {**CONFIG, "turn": turn.number}


def read(text: str) -> Reading:
    """The metrics of one side, in GB/s and microseconds.

    Raises:
        BenchmarkError: the output is empty, torn or not whole.
    """
    found = records(text)
    copying = of_kind(found, "memcpy", 1)[0]
    memcpy = [copying["bytes"] / seconds / 1e9 for seconds in copying["seconds"]]
    values: dict[str, list[float]] = {"coll.memcpy": memcpy, "coll.wrong": []}
    fastest = max(memcpy)
    for entry in of_kind(found, "all_reduce", len(SIZES)):
        case = next(name for name, size in SIZES.items() if size == entry["bytes"])
        slowest = [max(ranks) for ranks in zip(*entry["seconds"], strict=True)]
        algbw = [entry["bytes"] / seconds / 1e9 for seconds in slowest]
        busbw = [value * bus_factor(entry["world"]) for value in algbw]
        values[f"coll.algbw/{case}"], values[f"coll.busbw/{case}"] = algbw, busbw
        values[f"coll.efficiency/{case}"] = [value / fastest for value in busbw]
        values["coll.wrong"].append(entry["wrong"])
        if case == LATENCY_AT:
            values["coll.latency"] = [seconds * 1e6 for seconds in slowest]
    return Reading({key: given for key, given in values.items() if any(given) or key == "coll.wrong"},
                   seen(found))  # fmt: skip


def bus_factor(ranks: int) -> float:
    """What an all-reduce moves over the bus for each byte of the message."""
    return 2 * (ranks - 1) / ranks
