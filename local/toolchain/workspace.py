"""Temporary folders that do not outlive their owner.

Each holds a locked file. A folder whose lock is free was left by a process that was killed: the next one
ends what still works in it and removes it. Go's own temporary files are put there with GOTMPDIR, which is
also how a build's processes are recognised.
"""

import os
import select
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from local.paths import cache_dir
from local.toolchain.locks import locked, locked_if_free

_OWNER = ".owner"


def _root() -> Path:
    return cache_dir() / "tools" / ".work"


@contextmanager
def workspace() -> Iterator[Path]:
    """A new folder in the cache's file system, removed at the end of the block."""
    with ExitStack() as held:
        with locked(_root() / ".lock"):
            _sweep()
            folder = Path(tempfile.mkdtemp(dir=_root()))
            held.enter_context(locked(folder / _OWNER))
        try:
            yield folder
        finally:
            end_processes(folder)
            remove_tree(folder)


def sweep() -> None:
    """End and remove what killed builds left."""
    if _root().exists():
        with locked(_root() / ".lock"):
            _sweep()


def _sweep() -> None:
    for folder in _root().iterdir():
        if not folder.is_dir():
            continue
        with locked_if_free(folder / _OWNER) as orphaned:
            if orphaned:
                end_processes(folder)
                remove_tree(folder)


def end_processes(folder: Path) -> None:
    """Kill the processes that have their temporary files in `folder` and wait until they are gone."""
    while pids := _working_in(folder):
        for pid in pids:
            _kill(pid)


def _working_in(folder: Path) -> list[int]:
    wanted = f"GOTMPDIR={folder}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:  # ended meanwhile, or somebody else's
            continue
        if wanted in environment:
            found.append(int(entry.name))
    return found


def _kill(pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        select.select([descriptor], [], [])
    except ProcessLookupError:
        pass
    finally:
        os.close(descriptor)


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one with read-only folders in it as Go's module cache has them."""
    if os.geteuid() != 0:
        for inner, _, _ in os.walk(folder):
            Path(inner).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
