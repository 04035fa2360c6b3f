"""A server that answers each request with its body, after a fixed time: against it the generator itself is
measured. On request it stalls, and breaks connections.

python -m workloads.generate_load.echo --delay 0.005 --stall-every 10 --stall-for 1
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

from aiohttp import web

READY = "listening on "


@dataclass(frozen=True)
class Behaviour:
    """Times in seconds."""

    delay: float = 0.0
    """From a request to its answer."""
    stall_every: float = 0.0
    """So often, beginning at that time, nothing is answered for `stall_for`; 0 is never."""
    stall_for: float = 0.0
    reset_every: int = 0
    """The connection of every so-many-th request is broken instead of an answer; 0 is never."""


class Echo:
    """Answers requests."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.received = 0
        self._began = asyncio.get_running_loop().time()

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.received += 1
        number, told = self.received, self.behaviour
        body = await request.read()
        await asyncio.sleep(told.delay)
        await asyncio.sleep(self._stalled())
        if told.reset_every and number % told.reset_every == 0 and request.transport:
            request.transport.abort()
        return web.Response(body=body, headers={"x-served": str(number)})

    def _stalled(self) -> float:
        """Seconds that a stall still lasts."""
        if not self.behaviour.stall_every:
            return 0.0
        since = asyncio.get_running_loop().time() - self._began
        into = since % self.behaviour.stall_every
        first = since < self.behaviour.stall_every
        return 0.0 if first else max(self.behaviour.stall_for - into, 0.0)


@asynccontextmanager
async def serving(behaviour: Behaviour) -> AsyncIterator[tuple[Echo, web.ServerRunner]]:
    """The server, which listens nowhere yet."""
    echo = Echo(behaviour)
    runner = web.ServerRunner(web.Server(echo.answer, access_log=None))
    await runner.setup()
    try:
        yield echo, runner
    finally:
        await runner.cleanup()


async def serve(behaviour: Behaviour, host: str, port: int) -> None:
    """Serve until cancelled; prints where, as the port may be any."""
    async with serving(behaviour) as (_, runner):
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        print(f"{READY}{address[0]}:{address[1]}", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    number = partial(parser.add_argument, type=float, default=0.0, metavar="SECONDS")
    number("--delay", help="from a request to its answer")
    number("--stall-every", help="so often it stalls")
    number("--stall-for", help="for so long")
    parser.add_argument("--reset-every", type=int, default=0, help="every so-many-th connection is broken")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 is any that is free")
    told = parser.parse_args()
    behaviour = Behaviour(told.delay, told.stall_every, told.stall_for, told.reset_every)
    try:
        asyncio.run(serve(behaviour, told.host, told.port))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
