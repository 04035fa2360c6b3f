"""Tools are built once, whole or not at all, whatever happens to the process: a tiny module."""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import toolchain
from local.errors import LocalError
from local.paths import cache_dir
from local.toolchain import disk, gobuild, gocache, gohost, tools
from local.toolchain.workspace import sweep

REAL_GO = shutil.which("go")
pytestmark = pytest.mark.skipif(REAL_GO is None, reason="no go on PATH")

TOOLS_TOML = """
[tiny]
module = "example.org/tiny"
packages = [{ package = "example.org/tiny/cmd/tiny", names = ["tiny", "tinier"] }]
ldflags = "-X main.version={version}"
seconds = 7
megabytes = 2
cache_megabytes = 900
on_path = { fits = "minor", command = ["tiny", "--version"] }
"""
GO_MOD = """module seatrial.local/tools/tiny

go 1.26.0

require example.org/tiny v1.2.3

replace example.org/tiny => ./source
"""
MAIN = 'package main\n\nvar version = "unknown"\n\nfunc main() { print(version) }\n'

RUN = """
import signal, sys
from pathlib import Path
from local.toolchain import ensure, tools

# A shell that starts a job in the background makes it ignore Ctrl-C, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

class Told:
    def begin(self, step, expected_seconds=None): print("begin", step, expected_seconds, flush=True)
    def end(self, step, note=""): print("end", step, flush=True)
    def say(self, line): print("say", line, flush=True)

tools.FOLDER = Path(sys.argv[1])
print(ensure(["tiny"], Told())["tiny"], flush=True)
"""


class Bench:
    """A catalogue with one tiny tool, and a `go` that notes its calls and can be made to wait."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalogue = folder / "catalogue"
        self.bin = folder / "go" / "bin"
        self.calls = folder / "calls"
        self.started = folder / "started"
        self.release = folder / "release"
        self.processes: list[subprocess.Popen[str]] = []

    def lay_out(self) -> None:
        source = self.catalogue / "modules" / "tiny" / "source"
        (source / "cmd" / "tiny").mkdir(parents=True)
        (self.catalogue / "tools.toml").write_text(TOOLS_TOML)
        (source.parent / "go.mod").write_text(GO_MOD)
        (source.parent / "go.sum").write_text("")
        (source / "go.mod").write_text("module example.org/tiny\n\ngo 1.26.0\n")
        self.main.write_text(MAIN)
        self.bin.mkdir(parents=True)
        self.install_go("1.26.6", f'exec {REAL_GO} "$@"')
        os.mkfifo(self.started)
        os.mkfifo(self.release)

    @property
    def main(self) -> Path:
        return self.catalogue / "modules" / "tiny" / "source" / "cmd" / "tiny" / "main.go"

    def install_go(self, version: str, script: str) -> None:
        (self.bin.parent / "VERSION").write_text(f"go{version}\ntime 2026-01-01\n")
        self.install("go", f'echo "$@" >> {self.calls}\n{script}')

    def install(self, name: str, script: str) -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def builds(self) -> int:
        text = self.calls.read_text() if self.calls.exists() else ""
        return sum(line.startswith("build ") for line in text.splitlines())

    def start(self) -> "subprocess.Popen[str]":
        """Another process that wants the tool."""
        command = [sys.executable, "-c", RUN, str(self.catalogue)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.processes.append(process)
        return process

    def stop(self) -> None:
        """End what a failed test left running."""
        for process in self.processes:
            process.kill()
            process.communicate()
        sweep()

    def wait_for_go(self) -> list[int]:
        """Wait until the blocking `go` runs; the process ids that it wrote."""
        descriptor = os.open(self.started, os.O_RDONLY | os.O_NONBLOCK)
        try:
            assert select.select([descriptor], [], [], 60)[0], "go was not started"
            return [int(word) for word in os.read(descriptor, 100).split()]
        finally:
            os.close(descriptor)

    def leftovers(self) -> list[Path]:
        """What there should not be when nothing is being built."""
        kept = cache_dir() / "tools"
        return [path for path in [*kept.glob("tiny-*"), *kept.glob(".work/*")] if path.name != ".lock"]

    def folders(self) -> list[Path]:
        return list((cache_dir() / "tools").glob("tiny-*"))


@pytest.fixture(scope="session")
def go_caches(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One pair of Go caches for all tests, so that the runtime is compiled once."""
    return tmp_path_factory.mktemp("go-caches")


@pytest.fixture
def bench(tmp_path: Path, go_caches: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    bench = Bench(tmp_path / "bench")
    bench.lay_out()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{bench.bin}:/usr/bin:/bin:/usr/sbin:/sbin")
    monkeypatch.setattr(tools, "FOLDER", bench.catalogue)
    yield bench
    bench.stop()


@pytest.fixture
def warm(bench: Bench, go_caches: Path) -> Bench:
    cache_dir().mkdir(parents=True)
    (cache_dir() / "go").symlink_to(go_caches)
    return bench


def says(binary: Path) -> str:
    return subprocess.run([binary], capture_output=True, text=True, check=True).stderr


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_tool_is_built_as_its_version_under_all_its_names(warm: Bench) -> None:
    built = toolchain.ensure(["tiny"])
    assert set(built) == {"tiny", "tinier"}
    assert [says(path) for path in built.values()] == ["v1.2.3", "v1.2.3"]


def test_what_is_built_is_found_again_without_running_anything(
    warm: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = toolchain.ensure(["tiny"])
    monkeypatch.setattr(subprocess, "Popen", None)
    monkeypatch.setenv("PATH", "/nowhere")
    assert toolchain.ensure(["tiny"]) == first
    assert toolchain.plan(["tiny"]) == []


def test_a_change_of_flags_builds_anew_and_keeps_the_other(warm: Bench) -> None:
    before = toolchain.ensure(["tiny"])["tiny"]
    listed = warm.catalogue / "tools.toml"
    listed.write_text(listed.read_text().replace("main.version={version}", "main.version=other"))
    after = toolchain.ensure(["tiny"])["tiny"]
    assert (says(before), says(after)) == ("v1.2.3", "other")


def test_a_deleted_file_is_built_again(warm: Bench) -> None:
    built = toolchain.ensure(["tiny"])
    built["tinier"].unlink()
    assert [missing.name for missing in toolchain.plan(["tiny"])] == ["tiny"]
    assert says(toolchain.ensure(["tiny"])["tinier"]) == "v1.2.3"


def test_the_plan_names_the_cost_and_changes_nothing(bench: Bench, tmp_path: Path) -> None:
    for name in ("tiny", "tinier"):
        bench.install(name, "echo v0.0.1")
    before = sorted(tmp_path.rglob("*"))
    assert toolchain.plan(["tiny"]) == [toolchain.Missing("tiny", 7, 2, 900)]
    assert sorted(tmp_path.rglob("*")) == before


def test_installing_can_be_refused(bench: Bench) -> None:
    with pytest.raises(LocalError, match=r"tiny v1\.2\.3"):
        toolchain.ensure(["tiny"], install=False)
    assert bench.builds() == 0


def test_broken_source_is_named_and_leaves_nothing(warm: Bench) -> None:
    warm.main.write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(LocalError) as caught:
        toolchain.ensure(["tiny"])
    message = str(caught.value)
    assert "could not build tiny" in message
    assert "main.go:3:15: undefined: undefined" in message
    log = Path(message.rsplit("the log is ", 1)[1])
    assert "undefined: undefined" in log.read_text()
    assert warm.leftovers() == []


def test_a_go_mod_that_needs_changing_is_not_changed(warm: Bench) -> None:
    go_mod = warm.catalogue / "modules" / "tiny" / "go.mod"
    go_mod.write_text(GO_MOD.replace("replace example.org/tiny => ./source", "").replace("1.26.0", "1.26"))
    before = go_mod.read_text()
    with pytest.raises(LocalError, match=r"missing go\.sum entry"):
        toolchain.ensure(["tiny"])
    assert go_mod.read_text() == before


def test_no_go_says_how_to_get_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(LocalError, match=r"(?s)no go on PATH.*install Go 1\.26\.0 or newer from go\.dev/dl"):
        toolchain.ensure(["tiny"])
    assert not cache_dir().exists()


def test_an_old_go_says_how_to_get_a_newer_one(bench: Bench) -> None:
    bench.install_go("1.25.9", "exit 1")
    with pytest.raises(LocalError, match=r"(?s)bin/go is 1\.25\.9.*install Go 1\.26\.0 or newer"):
        toolchain.ensure(["tiny"])
    assert bench.builds() == 0


def test_a_go_without_a_version_file_is_asked(bench: Bench) -> None:
    (bench.bin.parent / "VERSION").unlink()
    bench.install("go", "echo go1.24.1")
    with pytest.raises(LocalError, match=r"bin/go is 1\.24\.1"):
        gohost.find(bench.catalogue / "modules" / "tiny")


def test_a_fitting_tool_on_path_is_taken_and_asked_once(bench: Bench) -> None:
    for name in ("tiny", "tinier"):
        bench.install(name, f"echo {name} >> {bench.calls}; echo tiny version v1.2.9")
    for _ in range(2):
        assert toolchain.ensure(["tiny"]) == {name: bench.bin / name for name in ("tiny", "tinier")}
    assert bench.calls.read_text() == "tiny\n"


def test_a_replaced_tool_on_path_is_asked_again(warm: Bench) -> None:
    for name in ("tiny", "tinier"):
        warm.install(name, "echo v1.2.9")
    toolchain.ensure(["tiny"])
    warm.install("tiny", "echo v1.10.99")
    assert toolchain.ensure(["tiny"])["tiny"].is_relative_to(cache_dir())


def test_an_unfitting_tool_on_path_is_built(warm: Bench) -> None:
    for name in ("tiny", "tinier"):
        warm.install(name, "echo v1.3.0")
    assert toolchain.ensure(["tiny"])["tiny"].is_relative_to(cache_dir())


def test_a_tool_on_path_that_lacks_a_command_is_built(warm: Bench) -> None:
    warm.install("tiny", "echo v1.2.3")
    assert toolchain.ensure(["tiny"])["tiny"].is_relative_to(cache_dir())


def test_too_little_disk_is_refused_before_building(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "free_megabytes", lambda path: 400)
    with pytest.raises(LocalError, match=r"tiny v1\.2\.3 needs about 0\.9 GB in .*has 0\.4 GB left"):
        toolchain.ensure(["tiny"])
    assert bench.builds() == 0


def test_old_caches_make_room_when_that_is_enough(warm: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[float] = []
    monkeypatch.setattr(disk, "free_megabytes", lambda path: 1000 if trimmed else 300)
    monkeypatch.setattr(gocache, "megabytes", lambda: 700)
    monkeypatch.setattr(gocache, "trim", lambda gigabytes: trimmed.append(gigabytes) is None)
    toolchain.ensure(["tiny"])
    assert trimmed == [0.902]


def test_caches_are_kept_when_dropping_them_would_not_help(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "free_megabytes", lambda path: 300)
    monkeypatch.setattr(gocache, "megabytes", lambda: 100)
    monkeypatch.setattr(gocache, "trim", lambda gigabytes: pytest.fail("trimmed"))
    with pytest.raises(LocalError, match=r"has 0\.3 GB left"):
        toolchain.ensure(["tiny"])


def test_a_disk_that_fills_up_is_named(warm: Bench) -> None:
    warm.install_go("1.26.6", "echo 'link: write: no space left on device'; exit 1")
    with pytest.raises(LocalError, match=rf"building tiny: the file system {disk.mount_point(cache_dir())} "):
        toolchain.ensure(["tiny"])
    assert warm.leftovers() == []


BLOCK = "sleep 600 & echo $$ $! > {started}; wait"


def test_after_kill_9_in_mid_build_the_next_run_repairs(warm: Bench) -> None:
    warm.install_go("1.26.6", BLOCK.format(started=warm.started))
    process = warm.start()
    working = warm.wait_for_go()
    process.kill()
    process.wait()
    assert warm.leftovers() != []
    warm.install_go("1.26.6", f'exec {REAL_GO} "$@"')
    assert says(toolchain.ensure(["tiny"])["tiny"]) == "v1.2.3"
    assert warm.leftovers() == warm.folders()
    assert [pid for pid in working if alive(pid)] == []


def test_go_does_not_outlive_a_killed_run(warm: Bench) -> None:
    warm.install_go("1.26.6", BLOCK.format(started=warm.started))
    process = warm.start()
    go, _ = warm.wait_for_go()
    descriptor = os.pidfd_open(go)
    process.kill()
    assert select.select([descriptor], [], [], 60)[0], "go still runs"
    os.close(descriptor)


def test_ctrl_c_ends_what_go_started_and_leaves_nothing(warm: Bench) -> None:
    warm.install_go("1.26.6", BLOCK.format(started=warm.started))
    process = warm.start()
    working = warm.wait_for_go()
    process.send_signal(signal.SIGINT)
    assert "KeyboardInterrupt" in process.communicate(timeout=60)[1]
    assert [pid for pid in working if alive(pid)] == []
    assert warm.leftovers() == []


def test_two_processes_at_once_build_once(warm: Bench) -> None:
    waiting_go = f'echo $$ > {warm.started}; read _ < {warm.release}; exec {REAL_GO} "$@"'
    warm.install_go("1.26.6", waiting_go)
    first = warm.start()
    warm.wait_for_go()
    second = warm.start()
    assert second.stdout
    assert second.stdout.readline() == "say waiting: another process builds tiny\n"
    warm.release.write_text("go on\n")
    said = second.communicate(timeout=30)[0]
    said_first = first.communicate(timeout=30)[0]
    assert said.splitlines()[-1] == said_first.splitlines()[-1] == str(toolchain.ensure(["tiny"])["tiny"])
    assert "begin build tiny v1.2.3 7\n" in said_first
    assert warm.builds() == 1


def test_a_single_package_replaces_what_is_at_its_place(warm: Bench, tmp_path: Path) -> None:
    out = tmp_path / "somewhere" / "part"
    out.parent.mkdir()
    out.write_text("old")
    module = warm.catalogue / "modules" / "tiny"
    gobuild.build(module, "example.org/tiny/cmd/tiny", out, ldflags="-X main.version=part")
    assert says(out) == "part"
    assert list(out.parent.iterdir()) == [out]


def test_caches_are_dropped_only_when_nobody_builds(bench: Bench) -> None:
    compiled = gohost.build_cache() / "00" / "one-d"
    compiled.parent.mkdir(parents=True)
    compiled.write_text("compiled")
    with gocache.in_use(toolchain.Silent()):
        assert gocache.drop() is False
        assert compiled.exists()
    assert gocache.drop() is True
    assert list((cache_dir() / "go").iterdir()) == []


def test_trimming_starts_with_what_was_used_longest_ago(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [gohost.build_cache() / "00" / f"{age}-d" for age in (1, 2, 3)]
    files[0].parent.mkdir(parents=True)
    gohost.module_cache().mkdir()
    for age, path in enumerate(files):
        path.write_text("compiled")
        os.utime(path, (1000 - age, 1000 - age))
    monkeypatch.setattr(
        disk, "free_megabytes", lambda path: 1000 * (4 - sum(file.exists() for file in files))
    )
    assert gocache.trim(2.5) is True
    assert [path.exists() for path in files] == [True, False, False]
    assert gohost.module_cache().exists()
