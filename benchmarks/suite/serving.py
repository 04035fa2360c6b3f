"""What the platform adds to a model's answer: the model through the Gateway against the same process without.

Both sides send the same requests at the same times, from a pod on the model's node: `platform` by TLS through
the Gateway and its route, `bare` straight to the pod of the model. A pair in which the generator did not keep
its times is discarded. What it takes against an echo is told beside them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.benchmark import Benchmark, Metric, Plan, Seen, Taken, Turn
from benchmarks.errors import BenchmarkError
from benchmarks.pods import Launch, launch, launching, of_kind, records, seen
from client import Platform, models, outputs
from workloads import quantiles

MODEL = "delay"
SIDES = ("platform", "bare")
PAIRS_A_LAUNCH = 3
CONFIG: dict[str, str | int | float | bool] = {
    "rate": 25.0, "arrival": "constant", "seconds": 27.0, "connections": 8, "seed": 13,
    "key_header": outputs.GATEWAY_KEY_HEADER,
}  # fmt: skip
"""So many requests a side and pair tell a p99. They come evenly, and seldom enough that none meets the one
before it: what is compared is the way of a request, not queues before a model that takes 15 ms."""
CPU = "1"
"""For the generator, which must be on time beside what it measures."""
PORT = 8080
"""Of the model server, in its pod."""


@dataclass(frozen=True)
class Reading:
    """One pair."""

    values: dict[str, dict[str, list[float]]]
    seen: list[Seen]
    unfit: str


def read(text: str, turns: Sequence[Turn]) -> dict[int, Reading]:
    """What was measured, by turn.

    Raises:
        BenchmarkError: the output is empty, torn or not whole, or the sides did not ask the same version.
    """
    found = records(text)
    return {
        turn.number: reading([entry for entry in found if entry.get("turn") == turn.number]) for turn in turns
    }


def reading(found: list[dict[str, Any]]) -> Reading:
    """Of one turn."""
    loads = {entry["side"]: entry for entry in of_kind(found, "load", len(SIDES) + 1)}
    versions = [sorted(loads[side]["answered_by"]) for side in SIDES]
    if versions[0] != versions[1]:
        raise BenchmarkError(
            f"through the platform version {' and '.join(versions[0]) or 'none'} answered, in the pod "
            f"{' and '.join(versions[1]) or 'none'}",
            f"give one version of {MODEL} all requests: seatrial model promote {MODEL} VERSION --to stable",
        )
    values = {side: latencies(loads[side]["latency_ms"]) for side in SIDES}
    values["platform"]["serve.failed"] = [loads[side]["failed"] for side in SIDES]
    values["platform"]["serve.lag"] = [entry["lag_p99_ms"] for entry in loads.values()]
    values["platform"]["serve.echo"] = loads["echo"]["latency_ms"]
    return Reading(values, seen(found), unfit(loads))


def latencies(of: list[float]) -> dict[str, list[float]]:
    tail = quantiles.quantile(np.asarray(of, dtype=np.float64), 0.99)
    return {"serve.latency": of, "serve.p99": [] if tail is None else [tail]}


def unfit(loads: dict[str, dict[str, Any]]) -> str:
    """Why a pair must not count; empty when it does."""
    late = [
        f"{loads[side]['lag_p99_ms']:.1f} ms against {side}" for side in SIDES if not loads[side]["valid"]
    ]
    few = [side for side in SIDES if len(loads[side]["latency_ms"]) < quantiles.samples_needed(0.99)]
    if late:
        return f"the generator did not keep its times: it was late by {', '.join(late)} (p99)"
    return f"too few requests of {' and '.join(few)} were answered for a p99" if few else ""


def targets(platform: Platform) -> dict[str, Any]:
    """Where the sides send their requests, and what.

    Raises:
        BenchmarkError: there is not exactly one pod that serves the model.
    """
    selector = f"{outputs.MODEL_LABEL}={MODEL}"
    there = platform.core.list_namespaced_pod(outputs.NAMESPACE_WORKLOADS, label_selector=selector).items
    if len(there) != 1 or not there[0].status.pod_ip:
        names = ", ".join(pod.metadata.name for pod in there) or "none"
        raise BenchmarkError(
            f"there is not one pod that serves model {MODEL}, which both sides could ask: {names}",
            f"serve one version with one replica: seatrial model serve {MODEL} VERSION --replicas 1",
        )
    (pod,) = there
    path = f"v2/models/{MODEL}/infer"
    gateway = (
        f"{outputs.GATEWAY_SERVICE}.{outputs.NAMESPACE_SERVING}.svc.cluster.local:{outputs.GATEWAY_PORT}"
    )
    return {
        "targets": {
            "platform": {"url": f"https://{MODEL}.{outputs.DOMAIN}/{path}", "connect": gateway},
            "bare": {"url": f"http://{pod.status.pod_ip}:{PORT}/{path}"},
        },
        "body": models.example(platform, MODEL, pod.metadata.labels[outputs.VERSION_LABEL]),
    }


def measure(platform: Platform, plan: Plan) -> Iterator[Taken]:
    told = {**CONFIG, **targets(platform)}
    beside = {outputs.MODEL_LABEL: MODEL}
    with launching(platform, "serving"):
        for block in plan.blocks(PAIRS_A_LAUNCH):
            orders = {str(turn.number): " ".join(turn.order) for turn in block}
            wanted = Launch("serving", plan.image, {**told, "orders": orders}, beside=beside, cpu=CPU)
            printed = launch(platform, wanted)
            for turn, found in zip(block, read(printed.text, block).values(), strict=True):
                yield Taken(
                    turn=turn,
                    values=found.values,
                    seconds=printed.seconds / len(block),
                    seen=found.seen,
                    images=printed.images,
                    log=printed.text if turn is block[0] else "(printed with the first pair of its block)",
                    unfit=found.unfit,
                )


BENCHMARK = Benchmark(
    name="serving",
    about="A model's answer through the Gateway against the same process called directly.",
    needs=("serving",),
    sides=SIDES,
    pairs=20,
    metrics=(
        Metric(
            id="serve.latency", about="From the scheduled time to the answer; compared by the median.",
            unit="ms", better="lower", tier=2, role="gate",
        ),
        Metric(
            id="serve.p99", about="The same, of 99 in 100 requests.", unit="ms", better="lower", tier=2,
            role="gate",
        ),
        Metric(
            id="serve.failed", about="Requests of either side that got no 2xx.", unit="count",
            better="lower", tier=0, role="gate", compared=False,
        ),
        Metric(
            id="serve.lag", about="What the generator was late by in 1 of 100 requests, by side.", unit="ms",
            better="lower", tier=2, role="trend", compared=False,
        ),
        Metric(
            id="serve.echo", about="The same requests to an echo beside the generator.", unit="ms",
            better="lower", tier=2, role="trend", compared=False,
        ),
    ),
    config={**CONFIG, "model": MODEL},
    measure=measure,
)  # fmt: skip
