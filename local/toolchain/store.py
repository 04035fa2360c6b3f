"""Built tools in the cache: one folder a tool, version and way of building, whole or not there."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from local.paths import cache_dir
from local.progress import Progress, step
from local.toolchain import disk, gobuild
from local.toolchain.locks import locked
from local.toolchain.tools import Tool
from local.toolchain.workspace import remove_tree, workspace


def find(tool: Tool) -> Mapping[str, Path] | None:
    """The tool's commands, when it was built."""
    folder = _folder(tool)
    commands = {name: folder / name for name in tool.names()}
    return commands if all(os.access(path, os.X_OK) for path in commands.values()) else None


def build(tool: Tool, progress: Progress) -> Mapping[str, Path]:
    """Build the tool, unless another process has done so meanwhile."""
    lock = cache_dir() / "tools" / ".locks" / tool.name
    with locked(lock, waiting=lambda: progress.say(f"waiting: another process builds {tool.name}")):
        if there := find(tool):
            return there
        with step(progress, f"build {tool.name} {tool.version}", tool.seconds):
            _build(tool, progress)
    commands = find(tool)
    assert commands is not None
    return commands


def _build(tool: Tool, progress: Progress) -> None:
    with disk.watched(cache_dir(), f"building {tool.name}"), workspace() as temporary:
        staged = temporary / "staged"
        for binary in tool.binaries:
            first, *others = binary.names
            gobuild.build(
                tool.module_dir,
                binary.package,
                staged / first,
                ldflags=tool.ldflags,
                tags=tool.tags,
                progress=progress,
            )
            for name in others:
                (staged / name).hardlink_to(staged / first)
        final = _folder(tool)
        if final.exists():  # a file of it was deleted
            remove_tree(final)
        staged.replace(final)
        gobuild.sync(final.parent)


def _folder(tool: Tool) -> Path:
    return cache_dir() / "tools" / f"{tool.name}-{tool.version}-{_key(tool)}"


def _key(tool: Tool) -> str:
    """Changes with the sources, their checksums, the Go version that go.mod names, and the flags."""
    digest = hashlib.sha256(repr((tool.binaries, tool.ldflags, tool.tags)).encode())
    for source in sorted([*tool.module_dir.glob("go.*"), *tool.module_dir.glob("*.go")]):
        digest.update(f"\0{source.name}\0".encode() + source.read_bytes())
    return digest.hexdigest()[:12]
