"""One process at a time: file locks that vanish with their holder and leave no file behind when asked to."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.paths import run_dir
from local.progress import Progress, Silent

GLOBAL = ".machine"
"""Held for moments, while a subnet is chosen."""


@contextmanager
def locked(name: str, progress: Progress | None = None) -> Iterator[None]:
    """Hold the lock `name`; its file is removed with the last holder, so that nothing is left."""
    path = run_dir() / f".{name}.lock"
    handle = _acquire(path, progress or Silent())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)
        _drop_empty(run_dir())


def _acquire(path: Path, progress: Progress) -> int:
    told = False
    while True:
        handle = _open(path)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not told:
                progress.say(f"waiting for another command that works on the same cluster ({path.name})")
                told = True
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_still(path, handle):
            return handle
        os.close(handle)  # its last holder removed the file while we waited: try the new one


def _open(path: Path) -> int:
    while True:
        path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # another cluster's `down` removed the empty folder in between


def _is_still(path: Path, handle: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _drop_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        pass  # in use by another cluster, or gone
