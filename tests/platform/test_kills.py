"""`kill -9` of `seatrial up` at seeded moments: `down` then leaves nothing, and the next `up` works."""

import os
import random
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.platform.conftest import ROOT, SEATRIAL, Platform

SEED = int(os.environ.get("SEATRIAL_SEED", "20261124"))

PHASES = {
    "network": "network",
    "cluster": "control plane",
    "image": "image",
    "apply": "pulumi up",
}
"""A phase of `up` and a word of the step that it announces."""


@pytest.fixture
def victim() -> Iterator[Platform]:
    ours = Platform("t-kill")
    ours.ok("down", "--yes")
    yield ours
    ours.ok("down", "--yes")


def kill_during(platform: Platform, word: str, delay: float, **environment: str) -> str:
    """Start `up`, wait until it announces a step with `word`, kill it `delay` s later."""
    process = subprocess.Popen(
        [SEATRIAL, "up", "--no-prove"], cwd=ROOT, env=platform.environment | environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    said = ""
    try:
        said = read_until(process, word)
        deadline = time.monotonic() + delay
        while process.poll() is None and time.monotonic() < deadline:
            select.select([process.stdout], [], [], 0.05)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return said


def read_until(process: subprocess.Popen[bytes], word: str) -> str:
    assert process.stdout
    said = b""
    while word.encode() not in said:
        chunk = os.read(process.stdout.fileno(), 4096)
        assert chunk, f"`up` ended before it said {word!r}:\n{said.decode()}"
        said += chunk
    return said.decode()


@pytest.mark.faults
def test_a_kill_while_building_leaves_no_half_made_tool(victim: Platform, tmp_path: Path) -> None:
    delay = random.Random(f"{SEED} build").uniform(0.5, 20)
    print(f"seed {SEED}: kill {delay:.2f} s into the build")
    kill_during(victim, "build", delay, XDG_CACHE_HOME=str(tmp_path))
    tools = tmp_path / "seatrial/tools"
    finished = [path for path in tools.glob("*") if not path.name.startswith(".")] if tools.exists() else []
    assert [path for path in finished if path.is_dir() and not any(path.rglob("*"))] == []
    victim.ok("down", "--yes")


@pytest.mark.faults
@pytest.mark.parametrize("phase", PHASES)
def test_a_kill_is_cleaned_up_and_up_works_again(victim: Platform, phase: str) -> None:
    delay = random.Random(f"{SEED} {phase}").uniform(0, 5)
    print(f"seed {SEED}: kill {delay:.2f} s into {phase}")
    kill_during(victim, PHASES[phase], delay)
    victim.ok("down", "--yes")
    kill_during(victim, PHASES[phase], delay)
    victim.ok("up", "--no-prove")


def test_one_seeded_kill_is_repaired_by_the_next_up(victim: Platform) -> None:
    delay = random.Random(SEED).uniform(0, 10)
    print(f"seed {SEED}: kill {delay:.2f} s into the cluster's start")
    kill_during(victim, "control plane", delay)
    victim.ok("cluster", "up")
    assert victim.json("cluster", "status")["state"] == "running"
