"""Go's two caches: in use while something is built, trimmed when the disk gets short, dropped at the end.

Whoever deletes from them must be alone: a build that loses a package under its feet fails.
"""

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.paths import cache_dir
from local.progress import Progress
from local.toolchain import disk, gohost
from local.toolchain.locks import locked, locked_if_free
from local.toolchain.workspace import workspace


def _lock() -> Path:
    return cache_dir() / "tools" / ".locks" / "go-caches"


@contextmanager
def in_use(progress: Progress) -> Iterator[None]:
    """Keep others from deleting from the caches during the block."""
    with locked(_lock(), shared=True, waiting=lambda: progress.say("waiting: Go's caches are being cleared")):
        yield


def megabytes() -> int:
    """What both take now."""
    return disk.tree_megabytes(cache_dir() / "go")


def trim(min_free_gb: float) -> bool:
    """Delete what was used longest ago until so much is free; False when a build is using the caches.

    Compiled packages go first, one by one; then the downloaded modules, which cannot be deleted in part.
    """
    wanted = int(min_free_gb * 1000)
    if disk.free_megabytes(cache_dir()) >= wanted or not (cache_dir() / "go").exists():
        return True
    with locked_if_free(_lock()) as alone:
        if alone:
            _trim_compiled(wanted)
            if disk.free_megabytes(cache_dir()) < wanted:
                _remove(gohost.module_cache())
        return alone


def drop() -> bool:
    """Delete both caches; False when a build is using them. Built tools stay."""
    if not (cache_dir() / "go").exists():
        return True
    with locked_if_free(_lock()) as alone:
        if alone:
            _remove(gohost.build_cache())
            _remove(gohost.module_cache())
        return alone


def _trim_compiled(wanted: int) -> None:
    """Go itself keeps a file's time of change at its last use."""
    files = [path for path in gohost.build_cache().glob("??/*") if path.is_file()]
    for path in sorted(files, key=lambda file: file.stat().st_mtime):
        if disk.free_megabytes(cache_dir()) >= wanted:
            return
        path.unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Moved away first: a module cache that was deleted in part would be taken for a whole one."""
    with workspace() as aside, contextlib.suppress(FileNotFoundError):
        folder.rename(aside / folder.name)
