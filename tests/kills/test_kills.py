"""`kill -9` of `seatrial up` at seeded moments: `down` then leaves nothing, and the next `up` works."""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.paths import cache_dir
from local.toolchain import store, tools
from local.toolchain.workspace import remove_tree
from tests.commandline import ROOT, SEATRIAL, Platform

SEED = int(os.environ.get("SEATRIAL_SEED") or random.randrange(10**6))

PHASES = {"network": "network", "cluster": "control plane", "apply": "pulumi up"}
"""A phase of `up` in which nothing is built, and a word of the step that it announces."""


@pytest.fixture
def victim() -> Iterator[Platform]:
    ours = Platform("t-kill")
    ours.ok("down", "--yes")
    yield ours
    ours.ok("down", "--yes")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Work in a cache in which everything is missing, and yield the usual one.

    It grows by gigabytes, so it is removed at the end.
    """
    real = cache_dir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    cache_dir().mkdir()
    yield real
    remove_tree(cache_dir())
    assert not cache_dir().exists()


def drawn(what: str, most: float) -> float:
    """How long after a step's begin to kill."""
    delay = random.Random(f"{SEED} {what}").uniform(0, most)
    print(f"SEATRIAL_SEED={SEED}: kill {delay:.2f} s into {what}")
    return delay


def kill_during(platform: Platform, word: str, delay: float, command: tuple[str, ...] = ()) -> None:
    """Start `up`, wait until it announces a step with `word`, kill it `delay` s later."""
    with subprocess.Popen(
        [SEATRIAL, *(command or ("up", "--no-prove", "--parts", "core"))], cwd=ROOT, env=platform.environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    ) as process:  # fmt: skip
        try:
            read_until(process, word)
            process.wait(delay)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def read_until(process: subprocess.Popen[bytes], word: str) -> None:
    assert process.stdout
    said = b""
    while word.encode() not in said:
        chunk = os.read(process.stdout.fileno(), 4096)
        assert chunk, f"`up` ended before it said {word!r}:\n{said.decode()}"
        said += chunk


def processes_with(variable: str) -> list[str]:
    """Processes that were started with `variable` in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append(f"{process.name} {(process / 'cmdline').read_text()!r}")
        except OSError:
            continue  # it ended meanwhile
    return found


def mounts_under(folder: Path) -> list[str]:
    """Mounts below `folder` in any process's view."""
    found = set()
    for mounts in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            found |= {line for line in mounts.read_text().splitlines() if str(folder) in line}
        except OSError:
            continue  # it ended meanwhile
    return sorted(found)


@pytest.mark.faults
def test_a_kill_while_building_leaves_no_half_made_tool(victim: Platform, empty_cache: Path) -> None:
    kill_during(victim, "build ", drawn("a tool's build", 20))
    victim.ok("down", "--yes")
    assert processes_with(f"XDG_CACHE_HOME={os.environ['XDG_CACHE_HOME']}") == []
    whole = [commands for name in tools.known() if (commands := store.find(tools.load(name)))]
    for path in (path for commands in whole for path in commands.values()):
        assert subprocess.run([path, "--help"], capture_output=True, timeout=60).returncode in (0, 1, 2), path
    folders = {path.parent for commands in whole for path in commands.values()}
    found = {path for path in (cache_dir() / "tools").glob("*-v*") if path.is_dir()}
    assert found - folders == set(), "a folder of a tool that is not whole"
    assert [path for path in (cache_dir() / "tools/.work").glob("*") if path.is_dir()] == []


@pytest.mark.faults
def test_a_kill_while_an_image_is_built_is_cleaned_up(
    victim: Platform, empty_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cache_dir() / "tools").symlink_to(empty_cache / "tools")  # so that images alone are missing
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    with monkeypatch.context() as own:
        own.setenv("TMPDIR", str(temporary))
        kill_during(victim, "build image", drawn("an image's build", 20))
        victim.ok("down", "--yes")
    assert list(temporary.iterdir()) == []
    assert processes_with(f"XDG_CACHE_HOME={os.environ['XDG_CACHE_HOME']}") == []
    assert mounts_under(cache_dir()) == []
    with monkeypatch.context() as outside:
        outside.setenv("XDG_CACHE_HOME", str(empty_cache.parent))
        victim.ok("up", "--no-prove", "--parts", "core")


@pytest.mark.faults
@pytest.mark.parametrize("phase", PHASES)
def test_a_kill_is_cleaned_up_and_up_works_again(victim: Platform, phase: str) -> None:
    delay = drawn(phase, 5)
    kill_during(victim, PHASES[phase], delay)
    victim.ok("down", "--yes")
    kill_during(victim, PHASES[phase], delay)
    victim.ok("up", "--no-prove", "--parts", "core")


def test_one_seeded_kill_is_repaired_by_the_next_up(victim: Platform) -> None:
    kill_during(victim, "control plane", drawn("the cluster's start", 10), ("cluster", "up"))
    victim.ok("cluster", "up")
    assert victim.json("cluster", "status")["state"] == "running"
