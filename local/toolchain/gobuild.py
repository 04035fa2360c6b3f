"""Builds one package of a Go module with fixed versions into one file."""

import collections
import io
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local.errors import LocalError
from local.paths import cache_dir
from local.progress import Progress, Silent
from local.toolchain import disk, gocache, gohost
from local.toolchain.workspace import workspace

_TAIL = 20
"""Lines of a failed build that the error repeats."""


def build(
    module_dir: Path,
    package: str,
    out: Path,
    *,
    ldflags: str = "",
    tags: str = "",
    progress: Progress | None = None,
) -> None:
    """Build `package` as `module_dir` fixes it in go.mod and go.sum; at `out` it is whole or not at all.

    `ldflags` come besides `-s -w`. What is there at `out` is replaced.
    """
    progress = progress or Silent()
    go = gohost.find(module_dir)
    with (
        disk.watched(cache_dir(), f"building {out.name}"),
        gocache.in_use(progress),
        workspace() as temporary,
    ):
        built = temporary / out.name
        command = [str(go), "build", "-v", "-mod=readonly", "-trimpath", "-buildvcs=false"]
        # -w leaves DWARF out of the file; not making it at all saves an eighth of the time.
        command += ["-gcflags", "all=-dwarf=false"]
        command += ["-ldflags", f"-s -w {ldflags}".strip(), *(["-tags", tags] if tags else [])]
        compiled = _run([*command, "-o", str(built), package], module_dir, temporary, out.name)
        _place(built, out)
    progress.say(f"{out.name}: {compiled} packages compiled")


def _run(command: Sequence[str], module_dir: Path, temporary: Path, name: str) -> int:
    """Run go, keep what it says in a log, and return how many packages it compiled."""
    log = cache_dir() / "tools" / "logs" / f"{module_dir.name}-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = gohost.environment() | {"GOTMPDIR": str(temporary)}
    # Its own session: Ctrl-C reaches us alone, we end it. setpriv: it does not outlive us when killed.
    leash = ["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []
    said: collections.deque[str] = collections.deque(maxlen=400)
    compiled = 0
    with (
        log.open("wb", buffering=0) as kept,
        subprocess.Popen(
            [*leash, *command],
            cwd=module_dir,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process,
    ):
        try:
            assert process.stdout
            for line in process.stdout:
                said.append(line.rstrip())
                compiled += _is_package(line)
                _keep(kept, line)
            code = process.wait()
        except BaseException:
            process.kill()
            raise
    if code != 0:
        raise _failed(module_dir, name, [line for line in said if not _is_package(line)], log)
    return compiled


def _is_package(line: str) -> bool:
    """Whether a line is the name of a package, which `go build -v` prints as it compiles it."""
    return bool(line.strip()) and not set(" :#") & set(line.strip())


def _keep(log: io.RawIOBase | io.FileIO, line: str) -> None:
    try:
        log.write(line.encode())
    except OSError:  # the disk is full: the last lines are kept in memory and say so
        pass


def _failed(module_dir: Path, name: str, said: list[str], log: Path) -> LocalError:
    text = "\n".join(said)
    if any(phrase in text.lower() for phrase in disk.FULL):
        return disk.full(cache_dir(), f"building {name}")
    last = "".join(f"\n    {line}" for line in said[-_TAIL:])
    return LocalError(
        f"go could not build {name} from {module_dir}:{last}", f"{_advice(text)}; the log is {log}"
    )


def _advice(text: str) -> str:
    if "signal: killed" in text:
        return (
            "the compiler was killed, most often for want of memory (3 GB must be free): free some, run again"
        )
    if "verifying" in text and "checksum mismatch" in text:
        return "a module differs from its checksum in go.sum: do not use it, ask who serves your modules"
    if "missing go.sum entry" in text or "updates to go.mod needed" in text:
        return "go.mod and go.sum do not belong together: restore both from version control"
    if any(
        phrase in text
        for phrase in ("dial tcp", "i/o timeout", "not available", "404 Not Found", "Forbidden")
    ):
        return "a module could not be fetched: check the network and `go env GOPROXY`, then run again"
    return "mend what the lines above name and run again"


def _place(built: Path, out: Path) -> None:
    """Move a finished file to its place in one step, also from one file system to another."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if built.stat().st_dev != out.parent.stat().st_dev:
        beside = out.with_name(f".{out.name}.{os.getpid()}.part")
        try:
            shutil.copy2(built, beside)
            sync(beside)
            beside.replace(out)
        finally:
            beside.unlink(missing_ok=True)
    else:
        sync(built)
        built.replace(out)
    sync(out.parent)


def sync(path: Path) -> None:
    """Make sure that a file or a folder's list of names survives a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
