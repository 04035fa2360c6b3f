"""How fast windows are judged, and how soon a change is seen: `workloads.watch_drift` against Evidently, and
its e-detector against river's ADWIN.

The rows are normal, 20 columns of which some are moved a little, so that verdicts could differ. The streams
are of a rate that doubles from 0.1. Each pair has rows and streams of its own.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.benchmark import Benchmark, Metric, Plan, Seen, Taken, Turn
from benchmarks.pods import Launch, launch, launching, of_kind, records, seen
from client import Platform
from workloads import image_of

NAME = "drift"
IMAGE = "watch-drift"
PAIRS_A_LAUNCH = 3
LEVEL = 0.01
"""Of a verdict, without any correction: on both sides the same question."""
CONFIG: dict[str, str | int | float | bool] = {
    "rows": 20_000,
    "columns": 20,
    "streams": 10,
    "before": 5000,
    "after": 3000,
    "seed": 13,
}
Sides = dict[str, dict[str, list[float]]]


def read(text: str, turns: Sequence[Turn]) -> dict[int, tuple[Sides, list[Seen]]]:
    """Turn → side → metrics, and what the pod saw meanwhile.

    Raises:
        BenchmarkError: the output is empty, torn or not whole.
    """
    found = records(text)
    by_turn = {}
    for turn in turns:
        own = [entry for entry in found if entry.get("turn") == turn.number]
        windows = {entry["side"]: entry for entry in of_kind(own, "window", len(turn.order))}
        sides: Sides = defaultdict(dict)
        for entry in of_kind(own, "streams", len(turn.order)):
            sides[entry["side"]] = {
                **speeds(windows[entry["side"]]),
                "drift.delay": [float(delay) for delay in entry["delays"]],
                "drift.missed": [float(entry["streams"] - len(entry["delays"]))],
                "drift.false_alarms": [float(entry["false"])],
            }
        verdicts = [[p < LEVEL for p in windows[side]["p"]] for side in BENCHMARK.sides]
        for side in turn.order:
            sides[side]["drift.agreement"] = [kappa(*verdicts)]
        by_turn[turn.number] = (dict(sides), seen(own))
    return by_turn


def speeds(window: dict[str, Any]) -> dict[str, list[float]]:
    return {f"drift.cells_per_cpu_second/{case}": [window["cells"] / window[case]] for case in ("ks", "all")}


def kappa(ours: Sequence[bool], theirs: Sequence[bool]) -> float:
    """(agreement - that by chance) / (1 - that by chance): Cohen 1960. 1 where both say the same of all."""
    one, other = np.array(ours), np.array(theirs)
    agree = float((one == other).mean())
    chance = float(one.mean() * other.mean() + (1 - one.mean()) * (1 - other.mean()))
    return 1.0 if agree == 1 else (agree - chance) / (1 - chance)


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    image = image_of(plan.image, IMAGE)
    with launching(platform, NAME):
        for block in plan.blocks(PAIRS_A_LAUNCH):
            orders = {str(turn.number): " ".join(turn.order) for turn in block}
            told = {**CONFIG, "seed": plan.seed, "orders": orders}
            printed = launch(platform, Launch(NAME, image, told))
            for turn, (values, nodes) in zip(block, read(printed.text, block).values(), strict=True):
                yield Taken(
                    turn=turn,
                    values=values,
                    seconds=printed.seconds / len(block),
                    seen=nodes,
                    images=printed.images,
                    log=printed.text if turn is block[0] else "(printed with the first pair of its block)",
                )


BENCHMARK = Benchmark(
    name=NAME,
    about="Windows judged per second of processor time, and events until a change is seen.",
    needs=("serving",),
    sides=("seatrial", "others"),
    pairs=9,
    metrics=(
        Metric(
            id="drift.cells_per_cpu_second",
            about="Rows times columns of a window, judged against a known reference: `ks` by this test, "
            "`all` with PSI, Wasserstein's distance and missing values; on both by Evidently's one report.",
            unit="1/s", better="higher", tier=1, role="gate", cases=("ks", "all"),
        ),
        Metric(
            id="drift.agreement",
            about="Cohen's kappa of both sides' verdicts on the columns, at 0.01 without correction.",
            unit="ratio", better="higher", tier=0, role="gate", compared=False,
        ),
        Metric(
            id="drift.delay", about="Events from the change to the alarm.", unit="count", better="lower",
            tier=1, role="gate",
        ),
        Metric(
            id="drift.missed", about="Changes that raised no alarm.", unit="count", better="lower", tier=0,
            role="gate", compared=False,
        ),
        Metric(
            id="drift.false_alarms", about="Alarms before the change, of 50,000 events.", unit="count",
            better="lower", tier=0, role="gate", compared=False,
        ),
    ),
    config=CONFIG,
    measure=measure,
)  # fmt: skip
