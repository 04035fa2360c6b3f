"""Disk space: how much is there, whether it is enough, and what to say when it is not."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.errors import LocalError

FULL = ("no space left on device", "disk quota exceeded")
"""How programs say that a file system is full."""


def free_megabytes(path: Path) -> int:
    """Space left where `path` is or would be."""
    return shutil.disk_usage(_existing(path)).free // 1_000_000


def require(megabytes: int, path: Path, purpose: str) -> None:
    """Refuse work that would fill the file system of `path`."""
    free = free_megabytes(path)
    if free < megabytes:
        raise LocalError(
            f"{purpose} needs about {megabytes / 1000:.1f} GB in {path}, and the file system "
            f"{mount_point(path)} has {free / 1000:.1f} GB left",
            "free some space there, or set XDG_CACHE_HOME to a folder on a bigger disk",
        )


def full(path: Path, doing: str) -> LocalError:
    """The error for a file system that filled up."""
    return LocalError(
        f"{doing}: the file system {mount_point(path)} (of {path}) is full, "
        f"{free_megabytes(path) / 1000:.1f} GB left",
        "free some space there, or set XDG_CACHE_HOME to a folder on a bigger disk, and run again; "
        "what was finished is kept",
    )


@contextmanager
def watched(path: Path, doing: str) -> Iterator[None]:
    """Turn a full file system met in the block into an error for a person."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise full(path, doing) from error
        raise


def mount_point(path: Path) -> Path:
    """Where the file system that holds `path` is mounted."""
    place = _existing(path).resolve()
    device = place.stat().st_dev
    while place.parent != place and place.parent.stat().st_dev == device:
        place = place.parent
    return place


def tree_megabytes(folder: Path) -> int:
    """What a folder takes."""
    total = 0
    for inner, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(inner) / name).lstat().st_blocks * 512
            except OSError:  # removed meanwhile
                continue
    return total // 1_000_000


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
