"""Makes sure that the tools the local platform needs are there: taken from PATH, from the cache, or built.

`ensure` and `plan` are for callers; `debian` looks after distribution packages, `gobuild` and `gomod` after
other Go parts, `gocache` after the disk that building takes.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.paths import cache_dir
from local.progress import Progress, Silent
from local.toolchain import disk, gocache, gohost, onpath, store, tools
from local.toolchain.tools import Tool

__all__ = ["Missing", "ensure", "plan"]

_LINKING = 500
"""Megabytes that a build takes for a moment, however much is compiled already."""


@dataclass(frozen=True)
class Missing:
    """A tool that would be built, and what that costs from an empty cache on 2 cores."""

    name: str
    seconds: float
    megabytes: int
    """Kept on disk."""
    cache_megabytes: int
    """Needed besides while building, until Go's caches are dropped."""


def ensure(
    names: Iterable[str] | None = None, progress: Progress | None = None, install: bool = True
) -> dict[str, Path]:
    """The commands of the tools called `names` (without: all); builds those neither on PATH nor in the cache.

    With `install=False` a missing tool is an error.
    """
    progress = progress or Silent()
    wanted = _load(names)
    found = {tool.name: _find(tool) for tool in wanted}
    missing = [tool for tool in wanted if not found[tool.name]]
    if missing and not install:
        raise LocalError(
            f"these tools are neither on PATH in a fitting version nor built: {_named(missing)}",
            "allow them to be built (leave --no-install out), or put them on PATH",
        )
    if missing:
        _prepare(missing, progress)
    for tool in missing:
        found[tool.name] = store.build(tool, progress)
    return {command: path for commands in found.values() for command, path in (commands or {}).items()}


def plan(names: Iterable[str] | None = None) -> list[Missing]:
    """What `ensure` would build; changes nothing."""
    return [
        Missing(tool.name, tool.seconds, tool.megabytes, tool.cache_megabytes)
        for tool in _load(names)
        if not _find(tool, remember=False)
    ]


def _load(names: Iterable[str] | None) -> list[Tool]:
    """In the order of tools.toml, in which later tools find most of their packages compiled."""
    known = tools.known()
    chosen = known if names is None else list(dict.fromkeys(names))
    for name in chosen:
        if name not in known:
            tools.load(name)  # says which there are
    return [tools.load(name) for name in known if name in chosen]


def _find(tool: Tool, *, remember: bool = True) -> Mapping[str, Path] | None:
    return store.find(tool) or onpath.find(tool, remember=remember)


def _prepare(missing: list[Tool], progress: Progress) -> None:
    """Find out before the first minute of building whether there is a Go and enough disk for all of it."""
    for tool in missing:
        gohost.find(tool.module_dir)
    everything = sum(tool.megabytes + tool.cache_megabytes for tool in missing)
    free = disk.free_megabytes(cache_dir())
    if free >= everything:
        return
    caches = gocache.megabytes()
    needed = max(everything - caches, _LINKING)  # part of it may be in the caches
    if free < needed and free + caches >= everything:
        progress.say(f"disk is short, {everything / 1000:.1f} GB are needed: trimming Go's caches")
        if gocache.trim(everything / 1000):
            return
    disk.require(needed, cache_dir(), f"building {_named(missing)}")


def _named(some: list[Tool]) -> str:
    return ", ".join(f"{tool.name} {tool.version}" for tool in some)
