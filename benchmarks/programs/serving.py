"""Sends the same requests at the same times to a model through the platform, to the same process without it,
and to an echo beside this program, which says what the generator itself takes. Latencies run from the times
set beforehand (workloads/generate_load).
"""

import asyncio
import json
import os
from typing import Any

import watch

from workloads.generate_load.control import echo
from workloads.generate_load.load import run
from workloads.generate_load.plan import Plan
from workloads.generate_load.result import Result, ms

ECHO = "echo"
WARM_UP = 1.0
"""Seconds at the start of each load in which connections are opened, which do not count."""


def plan(told: dict[str, Any], target: dict[str, str], turn: int) -> Plan:
    return Plan(
        url=target["url"],
        connect=target.get("connect", ""),
        rate=told["rate"],
        arrival=told["arrival"],
        seconds=told["seconds"] + WARM_UP,
        seed=told["seed"] + turn,
        connections=told["connections"],
        warm_up=WARM_UP,
        ca=os.environ.get("GATEWAY_CA", ""),
        headers={told["key_header"]: os.environ.get("GATEWAY_API_KEY", "")},
        bodies=(json.dumps(told["body"]).encode(),),
        id_header="x-request-id",
        count_header="x-model-version",
    )


def tell(turn: int, side: str, result: Result) -> None:
    samples = result.samples
    counted = (samples.answered() | samples.timed_out()) & (samples.scheduled >= WARM_UP)
    watch.tell(
        "load",
        turn=turn,
        side=side,
        requests=result.requests,
        outcomes=result.outcomes,
        failed=result.failed,
        answered_by=result.counted,
        lag_p99_ms=ms(result.lag),
        valid=result.valid,
        latency_ms=[ms(each) for each in samples.latency[counted].tolist()],
    )


async def measure(told: dict[str, Any]) -> None:
    async with echo() as url:
        targets = {**told["targets"], ECHO: {"url": url}}
        for target in targets.values():  # Everything is there once before it is measured.
            await run(plan({**told, "seconds": 1.0}, target, 0))
        for turn, order in told["orders"].items():
            before = watch.look()
            for side in [*order.split(), ECHO]:
                tell(int(turn), side, await run(plan(told, targets[side], int(turn))))
            watch.tell("seen", turn=int(turn), **watch.since(before))
    watch.tell("done", turns=len(told["orders"]))


if __name__ == "__main__":
    asyncio.run(measure(watch.told()))
