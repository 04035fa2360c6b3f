"""What it costs Optuna to keep trials in the platform's PostgreSQL instead of in memory, by sampler.

The objective costs nothing, so what is left is Optuna and its storage. The processor time is the worker's
alone; the database's is not in it.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from benchmarks.benchmark import Benchmark, Metric, Plan, Seen, Taken, Turn
from benchmarks.pods import Launch, launch, launching, of_kind, records, seen
from client import Platform

SAMPLERS = ("random", "tpe")
PAIRS_A_LAUNCH = 5
CONFIG: dict[str, str | int | float | bool] = {"trials": 50, "seed": 13}


def read(text: str, turns: Sequence[Turn]) -> dict[int, tuple[dict[str, dict[str, list[float]]], list[Seen]]]:
    """Turn → side → metrics, and what the pod saw meanwhile.

    Raises:
        BenchmarkError: the output is empty, torn or not whole.
    """
    found = records(text)
    by_turn = {}
    for turn in turns:
        own = [entry for entry in found if entry.get("turn") == turn.number]
        sides: dict[str, dict[str, list[float]]] = defaultdict(lambda: {"tune.lost": []})
        for entry in of_kind(own, "trials", len(turn.order) * len(SAMPLERS)):
            values, sampler = sides[entry["side"]], entry["sampler"]
            values[f"tune.per_cpu_second/{sampler}"] = [entry["complete"] / entry["cpu"]]
            values[f"tune.per_second/{sampler}"] = [entry["complete"] / entry["wall"]]
            values["tune.lost"].append(entry["asked"] - entry["complete"])
        by_turn[turn.number] = (dict(sides), seen(own))
    return by_turn


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    with launching(platform, "tuning_storage"):
        for block in plan.blocks(PAIRS_A_LAUNCH):
            orders = {str(turn.number): " ".join(turn.order) for turn in block}
            printed = launch(platform, Launch("tuning_storage", plan.image, {**CONFIG, "orders": orders}))
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
    name="tuning_storage",
    about="Optuna trials per second on the platform's PostgreSQL against in memory.",
    needs=("tuning",),
    sides=("postgresql", "memory"),
    metrics=(
        Metric(
            id="tune.per_cpu_second", about="Trials per second of the worker's processor time.", unit="1/s",
            better="higher", tier=1, role="gate", cases=SAMPLERS,
        ),
        Metric(
            id="tune.per_second", about="Trials per second.", unit="1/s", better="higher", tier=2,
            role="trend", cases=SAMPLERS,
        ),
        Metric(
            id="tune.lost", about="Trials asked for that the storage does not have as complete.",
            unit="count", better="lower", tier=0, role="gate",
        ),
    ),
    config=CONFIG,
    measure=measure,
)  # fmt: skip
