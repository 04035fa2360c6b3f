"""Where a run was measured, what was measured, and whether a pair was disturbed."""

import hashlib
import json
import statistics
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

from benchmarks.benchmark import Seen, Taken
from benchmarks.results import Environment, Machine
from client import Platform

CHECKOUT = Path(__file__).resolve().parents[1]
STEAL_PERCENT = 5.0
"""A pair during which other guests took more of the processor's time than this does not count."""
UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def disturbance(taken: Taken) -> str:
    """Why the pair, both of its sides, must not count; empty when it counts."""
    if taken.unfit:
        return taken.unfit
    for seen in taken.seen:
        if seen.steal_percent > STEAL_PERCENT:
            return f"{seen.steal_percent:.1f} % of the processor's time on {seen.node} was stolen"
        if seen.swapped_pages:
            return f"{seen.node} swapped {seen.swapped_pages} pages out"
    if len({seen.cpu for seen in taken.seen}) > 1:
        return f"its sides ran on different processors: {', '.join(sorted({s.cpu for s in taken.seen}))}"
    return ""


def describe(platform: Platform, seen: Sequence[Seen]) -> Environment:
    """The nodes that pods of the run saw, as Kubernetes knows them."""
    nodes = sorted({each.node for each in seen})
    version = k8s.VersionApi(platform.api).get_code().git_version
    found = [machine(platform.core.read_node(name)) for name in nodes]
    return environment(found, version, seen)


def machine(node: Any) -> Machine:
    info = node.status.node_info
    return Machine(
        node=node.metadata.name,
        cores=quantity(node.status.capacity["cpu"]),
        memory_gib=round(quantity(node.status.capacity["memory"]) / 2**30, 1),
        kernel=info.kernel_version,
        os=info.os_image,
    )


def quantity(text: str) -> float:
    """A Kubernetes quantity of processors (`2`, `1930m`) or bytes (`24571836Ki`)."""
    for suffix, factor in UNITS.items():
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def environment(machines: list[Machine], kubernetes: str, seen: Sequence[Seen]) -> Environment:
    """`fingerprint` leaves out names and load: two equal machines have the same."""
    cpus = sorted({each.cpu for each in seen})
    alike = sorted({(each.cores, round(each.memory_gib), each.kernel) for each in machines})
    facts = json.dumps([cpus, alike, kubernetes])
    cores = sorted({f"{each.cores:g}" for each in machines})
    return Environment(
        fingerprint=f"sha256:{hashlib.sha256(facts.encode()).hexdigest()}",
        machine=f"{' or '.join(cores) or 'unknown'} cores, {' and '.join(cpus) or 'processor unknown'}",
        cpus=cpus,
        machines=machines,
        kubernetes=kubernetes,
        load1=round(statistics.fmean(each.load1 for each in seen), 2) if seen else None,
        steal_percent=max(each.steal_percent for each in seen) if seen else None,
    )


def commit() -> tuple[str | None, bool]:
    """The checkout's commit and whether files differ from it; None outside a git checkout."""
    head = git("rev-parse", "HEAD")
    return (head, bool(git("status", "--porcelain"))) if head else (None, False)


def git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=CHECKOUT, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
