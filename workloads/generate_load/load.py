"""Sends what a plan says, at the times that it says, whatever the server does: an open loop.

A closed loop, in which each user waits for an answer before the next request, stops asking while the server
stalls, and so leaves out just the requests that would have waited (coordinated omission). Here each request
has a time at which it is due, and its latency runs from then. No request is ever repeated.
"""

import asyncio
import socket
import ssl
import threading
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from workloads.common import WorkloadError
from workloads.generate_load.plan import Plan
from workloads.generate_load.result import TIMEOUT, Failure, Result, Samples, success

TICK = 0.002
"""Seconds by which a timer of the event loop may be late: epoll counts milliseconds, and rounds up; what else
the loop has to do then takes another."""
LOOK_EVERY = 0.1
"""Seconds after which a stop is noticed at the latest."""
EXAMPLES = 20
"""Failures that are kept with what was said."""


async def run(
    plan: Plan, *, stop: asyncio.Event | None = None, connector: aiohttp.BaseConnector | None = None
) -> Result:
    """Send all of it, or what is due before `stop`, and wait for every answer.

    `connector` makes the connections; without one the plan says how.
    """
    return await Load(plan).run(stop, connector)


class Load:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.samples = Samples.of(plan.schedule())
        self.failures: list[Failure] = []
        self.ended = 0
        """Requests that have ended so far, in whatever way."""
        self._began = 0.0
        self._free = asyncio.Semaphore(plan.connections)

    async def run(self, stop: asyncio.Event | None, connector: aiohttp.BaseConnector | None) -> Result:
        started, stop = datetime.now(UTC), stop or asyncio.Event()
        async with opened(self.plan, connector) as session:
            begun = await self._send(session, stop)
        return Result(
            plan=self.plan.told(),
            started=started.isoformat(timespec="seconds"),
            stopped=begun < self.samples.size,
            samples=self.samples.first(begun),
            failures=self.failures,
        )

    async def _send(self, session: aiohttp.ClientSession, stop: asyncio.Event) -> int:
        """Begin each request when it is due; returns how many were, all of which have ended."""
        self._began = asyncio.get_running_loop().time()
        begun = 0
        async with asyncio.TaskGroup() as under_way:
            for number, due in enumerate(self.samples.scheduled.tolist()):
                await self._until(due, stop)
                if stop.is_set():
                    break
                under_way.create_task(self._one(session, number, due))
                begun += 1
        return begun

    def _now(self) -> float:
        """Seconds since the start."""
        return asyncio.get_running_loop().time() - self._began

    async def _until(self, due: float, stop: asyncio.Event) -> None:
        """Wait by a timer until shortly before, then by turns of the event loop."""
        await asyncio.sleep(0)
        while (left := due - self._now()) > 0 and not stop.is_set():
            await asyncio.sleep(min(left - TICK, LOOK_EVERY) if left > TICK else 0)

    async def _one(self, session: aiohttp.ClientSession, number: int, due: float) -> None:
        """One request to its end."""
        plan, samples = self.plan, self.samples
        samples.lag[number] = self._now() - due
        identity = str(uuid.uuid4()) if plan.id_header else ""
        counted = said = ""
        try:
            async with asyncio.timeout_at(self._began + due + plan.timeout), self._free:
                sent = self._now()
                async with session.request(
                    plan.method,
                    plan.url,
                    data=plan.bodies[number % len(plan.bodies)] if plan.bodies else None,
                    headers={plan.id_header: identity} if identity else None,
                    allow_redirects=False,
                ) as answer:
                    body = await answer.read()
                done = self._now()
            samples.latency[number], samples.service[number] = done - due, done - sent
            outcome = str(answer.status)
            counted = answer.headers.get(plan.count_header, "") if plan.count_header else ""
            said = body[:200].decode(errors="replace") or str(answer.reason)
        except TimeoutError:
            outcome, said = TIMEOUT, f"no answer {plan.timeout:g} s after its time"
            samples.latency[number] = plan.timeout
        except Exception as error:
            outcome, said = kind(error), f"{type(error).__name__}: {error}"
        samples.end(number, outcome, counted)
        self.ended += 1
        if not success(outcome) and len(self.failures) < EXAMPLES:
            self.failures.append(Failure(round(self._now(), 3), outcome, said, identity))


def kind(error: Exception) -> str:
    """The word under which a request without an answer is counted."""
    match error:
        case aiohttp.ClientSSLError() | ssl.SSLError():
            return "tls"
        case aiohttp.ClientConnectorError():
            return "connect"
        case aiohttp.ClientConnectionError() | aiohttp.ClientPayloadError() | ConnectionError():
            return "disconnected"
        case aiohttp.ClientResponseError():
            return "invalid"
    return type(error).__name__


class Elsewhere(AbstractResolver):
    """Finds every host at one address."""

    def __init__(self, connect: str) -> None:
        host, _, port = connect.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        found = await aiohttp.ThreadedResolver().resolve(self.host, self.port, socket.AddressFamily(family))
        return [{**entry, "hostname": host} for entry in found]

    async def close(self) -> None:
        pass


@asynccontextmanager
async def opened(plan: Plan, connector: aiohttp.BaseConnector | None) -> AsyncIterator[aiohttp.ClientSession]:
    """A session that neither follows nor repeats nor keeps anything but its connections."""
    headers = {"user-agent": "seatrial-generate-load", **plan.headers}
    if plan.bodies and "content-type" not in {name.lower() for name in headers}:
        headers["content-type"] = "application/json"
    async with aiohttp.ClientSession(
        connector=connector or connections(plan),
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
    ) as session:
        # It would send a GET again by itself when a kept connection turns out to be gone.
        session._retry_connection = False
        yield session


def connections(plan: Plan) -> aiohttp.TCPConnector:
    try:
        context = ssl.create_default_context(cadata=plan.ca or None)
    except ssl.SSLError as error:
        raise WorkloadError(f"ca is no certificate in PEM form: {error}") from error
    return aiohttp.TCPConnector(
        limit=plan.connections,
        ssl=context,
        resolver=Elsewhere(plan.connect) if plan.connect else None,
    )


class Running:
    """A load in a thread of its own, for what is not asynchronous; a context manager that stops it.

    with Running(plan) as load:
        load.wait_for(1000, within=60)
    result = load.result()
    """

    def __init__(self, plan: Plan) -> None:
        self._load = Load(plan)
        self._stop = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)

    def __enter__(self) -> "Running":
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            self._error = error
            self._ready.set()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ready.set()
        self._result = await self._load.run(self._stop, None)

    @property
    def ended(self) -> int:
        """Requests that have ended so far."""
        return self._load.ended

    def wait_for(self, requests: int, within: float = 60.0) -> None:
        """Wait until so many requests have ended.

        Raises:
            WorkloadError: they had not after `within` seconds, or the load was over before.
        """
        deadline = time.monotonic() + within
        while self.ended < requests:
            self._thread.join(0.05)
            over = not self._thread.is_alive()
            if self.ended < requests and (over or time.monotonic() > deadline):
                why = "the load is over" if over else f"{within:g} s have passed"
                raise WorkloadError(f"{self.ended} of {requests} requests have ended, and {why}")

    def stop(self) -> None:
        """Begin no further request; those under way end by themselves."""
        if self._loop:
            try:
                self._loop.call_soon_threadsafe(self._stop.set)
            except RuntimeError:
                pass  # It has ended by itself, and its loop is closed.

    def result(self) -> Result:
        """What came of it, once it has ended."""
        self._thread.join()
        if self._error:
            raise self._error
        assert self._result
        return self._result
