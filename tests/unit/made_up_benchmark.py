"""A benchmark of made-up numbers, and a cluster of one node, for tests of what surrounds benchmarks."""

from collections.abc import Callable, Iterator
from types import SimpleNamespace as Some
from typing import Any

import pytest

from benchmarks.benchmark import Benchmark, Metric, Plan, Seen, Taken, Turn
from client import outputs

QUIET = Seen(node="work", cpu="EPYC", steal_percent=0.5, swapped_pages=0, load1=1.0)

METRICS = (
    Metric(id="m.speed", about="Speed.", unit="1/s", better="higher", tier=2, role="gate"),
    Metric(
        id="m.cost", about="Cost.", unit="ms", better="lower", tier=1, role="trend", cases=("small", "big")
    ),
    Metric(id="m.lost", about="Losses.", unit="count", better="lower", tier=0, role="gate", compared=False),
)


def values(speed: float) -> dict[str, list[float]]:
    return {"m.speed": [speed], "m.cost/small": [1.0, 2.0, 3.0], "m.cost/big": [8.0], "m.lost": [0]}


def taken(turn: Turn, *, slower: float = 1.0, **changed: Any) -> Taken:
    parts: dict[str, Any] = {
        "turn": turn,
        "values": {"ours": values(100.0 / slower), "theirs": values(100.0)},
        "seconds": 0.25,
        "seen": [QUIET],
        "images": {"workloads:1": "sha256:aa"},
        "log": f"pair {turn.number} printed this",
    }
    return Taken(**{**parts, **changed})


def benchmark(measure: Callable[[Any, Plan], Iterator[Taken]] | None = None) -> Benchmark:
    def plain(_: Any, plan: Plan) -> Iterator[Taken]:
        yield from (taken(turn) for turn in plan.turns())

    return Benchmark(
        name="made_up",
        about="Nothing is measured.",
        needs=(),
        sides=("ours", "theirs"),
        metrics=METRICS,
        config={"rounds": 3},
        measure=measure or plain,
    )


def platform(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A cluster whose one node is called `work`."""
    info = Some(kernel_version="6.8.0", os_image="Debian 13")
    status = Some(node_info=info, capacity={"cpu": "2", "memory": "25165824Ki"})
    monkeypatch.setattr(
        "benchmarks.environment.k8s.VersionApi",
        lambda _: Some(get_code=lambda: Some(git_version="v1.36.3")),
    )
    monkeypatch.setattr("benchmarks.environment.git", lambda *words: "084a288" if "HEAD" in words else "")
    core = Some(read_node=lambda name: Some(metadata=Some(name=name), status=status))
    return Some(api=None, core=core, access=dict.fromkeys(outputs.SECRET_ACCESS_OF["tuning"], "x"))
