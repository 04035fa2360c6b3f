"""What is put around Pulumi, and what is cleared away after a killed one."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import engine
from local.errors import LocalError

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable, folder in {
        "XDG_CACHE_HOME": "cache",
        "XDG_STATE_HOME": "state",
        "HOME": "home",
        "PULUMI_HOME": "vendor",
    }.items():
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    return tmp_path


@pytest.fixture
def pulumi(home: Path) -> Path:
    """A stand-in for the binary that notes what it was asked for."""
    return stand_in(home, "cache/seatrial/tools/pulumi")


def stand_in(home: Path, folder: str) -> Path:
    binary = home / folder / "pulumi"
    binary.parent.mkdir(parents=True)
    binary.write_text(f'#!/bin/sh\necho "$@" >> {home}/asked\ncat >> {home}/given\necho exported\n')
    binary.chmod(0o755)
    return binary


@pytest.fixture
def variables(pulumi: Path) -> dict[str, str]:
    return engine.environment("t-engine", CHECKOUT, {"pulumi": pulumi})


def locks(variables: dict[str, str]) -> Path:
    backend = Path(variables["PULUMI_BACKEND_URL"].removeprefix("file://"))
    return backend / ".pulumi" / "locks" / "organization" / "seatrial" / "local"


def checkpoint(variables: dict[str, str], latest: object) -> None:
    backend = Path(variables["PULUMI_BACKEND_URL"].removeprefix("file://"))
    file = backend / ".pulumi" / "stacks" / "seatrial" / "local.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": latest}}))


def lock(variables: dict[str, str], pid: int, host: str) -> Path:
    file = locks(variables) / "a.json"
    file.parent.mkdir(parents=True)
    file.with_name("a.json.attrs").write_text("{}")
    owner = {"pid": pid, "username": "u", "hostname": host, "timestamp": "2026-01-01T00:00:00Z"}
    file.write_text(json.dumps(owner))
    return file


def asked(home: Path) -> list[str]:
    return (home / "asked").read_text().splitlines() if (home / "asked").exists() else []


def test_the_tools_come_before_everything_else_and_nothing_twice(
    home: Path, variables: dict[str, str]
) -> None:
    assert variables["PATH"] == f"{home}/cache/seatrial/tools/pulumi:/usr/bin:/bin"


def test_a_second_time_changes_no_file(home: Path, pulumi: Path, variables: dict[str, str]) -> None:
    before = {file: file.stat().st_mtime_ns for file in home.rglob("*") if file.is_file()}
    assert engine.environment("t-engine", CHECKOUT, {"pulumi": pulumi}) == variables
    assert {file: file.stat().st_mtime_ns for file in home.rglob("*") if file.is_file()} == before


def test_nothing_is_written_where_clusters_live_or_in_the_users_pulumi(
    home: Path, variables: dict[str, str]
) -> None:
    assert {folder.name for folder in home.iterdir()} == {"cache"}


def test_the_launchers_start_the_stand_ins_of_the_given_checkout(
    home: Path, pulumi: Path, variables: dict[str, str]
) -> None:
    plugin = home / "cache/seatrial/pulumi/plugins" / engine.PROVIDER / "pulumi-resource-kubernetes"
    for launcher, module in (
        (pulumi.with_name("pulumi-language-python"), "language_host"),
        (plugin, "provider"),
    ):
        assert launcher.stat().st_mode & stat.S_IXUSR
        said = subprocess.run(
            [launcher, "given"],
            env={**variables, "SEATRIAL_PYTHON": "/bin/echo"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout.strip() == f"-P -m local.{module} given"
        unset = subprocess.run([launcher], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True)
        assert "seatrial env" in unset.stderr


def test_the_vendors_plugins_are_used_where_they_are_installed(home: Path, pulumi: Path) -> None:
    language = pulumi.with_name("pulumi-language-python")
    provider = home / "vendor/plugins" / engine.PROVIDER / "pulumi-resource-kubernetes"
    for binary in (language, provider):
        binary.parent.mkdir(parents=True, exist_ok=True)
        binary.write_bytes(b"\x7fELF")
    engine.environment("t-engine", CHECKOUT, {"pulumi": pulumi})
    assert language.read_bytes() == b"\x7fELF"
    found = home / "cache/seatrial/pulumi/plugins" / engine.PROVIDER / "pulumi-resource-kubernetes"
    assert found.resolve() == provider
    provider.unlink()
    engine.environment("t-engine", CHECKOUT, {"pulumi": pulumi})
    assert found.read_text().startswith("#!/bin/sh")
    assert not provider.exists()


def test_nothing_is_written_beside_a_pulumi_of_the_machine(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = stand_in(home, "usr/bin")
    monkeypatch.setenv("PATH", f"{theirs.parent}:/usr/bin:/bin")
    variables = engine.environment("t-engine", CHECKOUT, {"pulumi": theirs})
    copy = home / "cache/seatrial/pulumi/bin/pulumi"
    assert list(theirs.parent.iterdir()) == [theirs]
    assert variables["PATH"] == f"{copy.parent}:{theirs.parent}:/usr/bin:/bin"
    assert not copy.is_symlink()
    assert copy.read_text() == theirs.read_text()
    assert copy.stat().st_mode & stat.S_IXUSR
    assert copy.with_name("pulumi-language-python").read_text().startswith("#!/bin/sh")
    monkeypatch.setenv("PATH", variables["PATH"])
    assert engine.environment("t-engine", CHECKOUT, {"pulumi": theirs})["PATH"] == variables["PATH"]
    theirs.write_text("#!/bin/sh\necho a newer one\n")
    engine.environment("t-engine", CHECKOUT, {"pulumi": theirs})
    assert "newer" in copy.read_text()


def test_a_pulumi_of_the_machine_with_its_language_host_is_used_as_it_is(home: Path) -> None:
    theirs = stand_in(home, "usr/bin")
    theirs.with_name("pulumi-language-python").write_bytes(b"\x7fELF")
    variables = engine.environment("t-engine", CHECKOUT, {"pulumi": theirs})
    assert variables["PATH"] == f"{theirs.parent}:/usr/bin:/bin"
    assert not (home / "cache/seatrial/pulumi/bin").exists()


def test_kubectl_keeps_its_notes_with_the_cluster(home: Path, variables: dict[str, str]) -> None:
    assert variables["KUBECACHEDIR"] == f"{home}/state/seatrial/clusters/t-engine/kubectl"


def test_a_stack_is_made_once(home: Path, variables: dict[str, str]) -> None:
    engine.init_stack("local", CHECKOUT, variables)
    assert asked(home) == ["stack init local --non-interactive"]
    checkpoint(variables, {"resources": []})
    engine.init_stack("local", CHECKOUT, variables)
    assert len(asked(home)) == 1


def test_the_state_is_for_its_owner_alone(variables: dict[str, str]) -> None:
    engine.init_stack("local", CHECKOUT, variables)
    backend = Path(variables["PULUMI_BACKEND_URL"].removeprefix("file://"))
    assert stat.S_IMODE(backend.stat().st_mode) == 0o700


def test_notes_of_operations_that_were_killed_are_dropped(home: Path, variables: dict[str, str]) -> None:
    checkpoint(variables, {"pending_operations": [{"type": "creating"}]})
    engine.init_stack("local", CHECKOUT, variables)
    exported, imported = asked(home)
    assert exported == "stack export --stack local --non-interactive"
    assert imported == "stack import --stack local --non-interactive"
    assert "exported" in (home / "given").read_text()


def test_the_lock_of_a_process_that_is_gone_is_broken(variables: dict[str, str]) -> None:
    gone = subprocess.Popen(["/bin/true"])
    gone.wait()
    file = lock(variables, gone.pid, socket.gethostname())
    engine.init_stack("local", CHECKOUT, variables)
    assert list(file.parent.iterdir()) == []


def test_the_lock_of_a_process_that_is_something_else_by_now_is_broken(variables: dict[str, str]) -> None:
    file = lock(variables, os.getpid(), socket.gethostname())
    engine.init_stack("local", CHECKOUT, variables)
    assert not file.exists()


@pytest.fixture
def working_pulumi(home: Path) -> Iterator[int]:
    """A process of that name."""
    busy = home / "busy" / "pulumi"
    busy.parent.mkdir()
    busy.symlink_to(sys.executable)
    process = subprocess.Popen([busy, "-c", "print('up', flush=True); input()"], stdin=-1, stdout=-1)
    assert process.stdout
    process.stdout.readline()
    yield process.pid
    process.kill()
    process.communicate()


@pytest.mark.parametrize("host", [socket.gethostname(), "its-name-before"])
def test_the_lock_of_a_pulumi_at_work_is_left_alone(
    working_pulumi: int, variables: dict[str, str], host: str
) -> None:
    file = lock(variables, working_pulumi, host)
    with pytest.raises(LocalError, match=rf"(?s)process {working_pulumi}, since.*delete"):
        engine.init_stack("local", CHECKOUT, variables)
    assert file.exists()


def test_the_lock_of_a_killed_pulumi_is_stale_before_anybody_looked(
    working_pulumi: int, variables: dict[str, str]
) -> None:
    file = lock(variables, working_pulumi, socket.gethostname())
    os.kill(working_pulumi, signal.SIGKILL)
    os.waitid(os.P_PID, working_pulumi, os.WEXITED | os.WNOWAIT)  # Ended, and still there.
    engine.init_stack("local", CHECKOUT, variables)
    assert not file.exists()


def test_a_lock_is_stale_although_the_machine_had_another_name(variables: dict[str, str]) -> None:
    file = lock(variables, os.getpid(), "its-name-before")
    engine.init_stack("local", CHECKOUT, variables)
    assert not file.exists()


def test_what_pulumi_refused_is_passed_on(pulumi: Path, variables: dict[str, str]) -> None:
    pulumi.write_text("#!/bin/sh\necho 'error: incorrect passphrase' >&2\nexit 1\n")
    with pytest.raises(LocalError, match="incorrect passphrase"):
        engine.init_stack("local", CHECKOUT, variables)
