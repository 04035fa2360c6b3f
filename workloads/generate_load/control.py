"""What the generator does against an echo on the same machine, at twice the rate.

If it keeps its times there, the run was below half of what the generator can do here, and what it measured is
the server's. If not, the figures of a run at that rate say more of the generator than they should.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, replace
from typing import Any

from workloads.common import WorkloadError
from workloads.generate_load.echo import READY
from workloads.generate_load.load import run
from workloads.generate_load.plan import Plan
from workloads.generate_load.result import ms

SECONDS = 5.0
FASTER = 2.0
PATIENCE = 60.0


async def control(plan: Plan) -> dict[str, Any]:
    """Quantiles and lag of the generator by itself.

    Raises:
        WorkloadError: the echo does not start.
    """
    async with echo() as url:
        result = await run(
            replace(
                plan,
                url=url,
                rate=FASTER * plan.rate,
                seconds=min(plan.seconds, SECONDS),
                requests=None,
                warm_up=0.0,
                connect="",
                ca="",
                headers={},
            )
        )
    return {
        "rate": result.plan["rate"],
        "requests": result.requests,
        "failed": result.failed,
        "latency_ms": asdict(result.latency),
        "lag_p99_ms": ms(result.lag),
        "valid": result.valid and not result.failed,
    }


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """An echo in a process of its own; its URL."""
    command = [sys.executable, "-m", "workloads.generate_load.echo"]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout
    try:
        async with asyncio.timeout(PATIENCE):
            said = (await process.stdout.readline()).decode().strip()
        if not said.startswith(READY):
            raise WorkloadError(f"the echo did not start; it said: {said or 'nothing'}")
        yield f"http://{said.removeprefix(READY)}/"
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
