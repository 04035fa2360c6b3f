"""Send requests at times set beforehand, measure from those times, and say what came of it.

Runs anywhere. In a pod the whole result goes to the object store, and what is brief into the termination
message.
"""

import argparse
import asyncio
import json
import os
import signal
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from workloads import common
from workloads.common import HopelessError
from workloads.generate_load import bookings, config
from workloads.generate_load.config import GenerateLoad
from workloads.generate_load.control import control
from workloads.generate_load.load import run
from workloads.generate_load.plan import Plan
from workloads.generate_load.result import Result
from workloads.generate_load.summary import summary
from workloads.settings import changed

CA_VARIABLE = "GATEWAY_CA"
"""Holds the Gateway's authority (PEM), where the platform has one of its own."""
QUESTIONS = 1000
"""Bodies that are made where no file has them."""
FOLDER = "loads"
"""Of the bucket of datasets, where results lie."""


def plan_of(settings: GenerateLoad, headers: dict[str, str], bodies: tuple[bytes, ...], ca: str = "") -> Plan:
    """The plan that settings stand for."""
    same = ("url", "connect", "rate", "seconds", "arrival", "seed", "connections", "timeout", "warm_up",
            "method", "id_header", "count_header")  # fmt: skip
    return Plan(
        **{name: getattr(settings, name) for name in same},
        requests=settings.requests or None,
        headers=headers,
        bodies=bodies,
        ca=ca,
    )


def read_bodies(path: Path) -> tuple[bytes, ...]:
    """The bodies of a file, one JSON document a line."""
    try:
        lines = [line for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise HopelessError(f"bodies: {path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except ValueError as error:
            raise HopelessError(f"bodies: {path}, document {number} is no JSON: {error}") from error
    if not lines:
        raise HopelessError(f"bodies: {path} is empty; give one JSON document a line")
    return tuple(lines)


def bodies_of(settings: GenerateLoad, file: Path | None) -> tuple[bytes, ...]:
    if settings.method == "GET":
        return ()
    return read_bodies(file) if file else bookings.bodies(QUESTIONS, settings.seed)


def authorities_of(file: Path | None) -> str:
    """Those of the file, or of the environment; empty where neither has any."""
    try:
        return file.read_text() if file else os.environ.get(CA_VARIABLE, "")
    except OSError as error:
        raise HopelessError(f"the authorities in {file} cannot be read: {error.strerror}") from error


def headers_of(settings: GenerateLoad, given: Sequence[str]) -> dict[str, str]:
    """Headers given as `name=value`, and the key that the environment has."""
    found = {}
    for assignment in given:
        name, equals, value = assignment.partition("=")
        if not (name and equals):
            raise HopelessError(f"header '{assignment}' is no name=value, for example x-user=ada")
        found[name] = value
    if settings.key_header:
        found.setdefault(settings.key_header, common.env(settings.key_variable))
    return found


async def measure(plan: Plan, with_control: bool) -> Result:
    """The run, which Ctrl-C or SIGTERM stops early but does not lose, and its control."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    result = await run(plan, stop=stop)
    if with_control and not stop.is_set():
        result = replace(result, control=await control(plan))
    return result


def keep(result: Result, out: Path | None) -> str:
    """Write the whole result to the file, or to the object store where there is one; says where it is."""
    text = result.to_json()
    if out:
        out.write_text(text)
        return str(out)
    if "S3_BUCKET" not in os.environ:
        return ""
    bucket, key = common.env("S3_BUCKET"), f"{FOLDER}/{result.started[:19]}-{uuid.uuid4().hex[:8]}.json"
    common.s3().put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="application/json")
    return f"s3://{bucket}/{key}"


def load(plan: Plan, with_control: bool, out: Path | None) -> dict[str, Any]:
    result = asyncio.run(measure(plan, with_control))
    place = keep(result, out)
    print(f"\n{summary(result)}\n" + (f"  whole result: {place}\n" if place else ""), flush=True)
    brief = result.brief()
    kept = ("requests", "failed", "outcomes", "counted", "latency_ms", "validity", "valid")
    return {**{name: brief[name] for name in kept}, "result": place}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE",
        help="another value of a setting in config.py",
    )  # fmt: skip
    parser.add_argument(
        "--bodies", type=Path, metavar="FILE",
        help="one JSON document a line, sent in turn (default: questions to the booking service)",
    )  # fmt: skip
    parser.add_argument("--header", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument(
        "--ca", type=Path, metavar="FILE",
        help=f"authorities, PEM (default: what {CA_VARIABLE} holds, or the system's)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FILE", help="where the whole result goes")
    told = parser.parse_args()

    def work() -> dict[str, Any]:
        settings = changed(getattr(config, told.config)(), told.set)
        headers = headers_of(settings, told.header)
        plan = plan_of(settings, headers, bodies_of(settings, told.bodies), authorities_of(told.ca))
        return load(plan, settings.control, told.out)

    common.run(work)


if __name__ == "__main__":
    main()
