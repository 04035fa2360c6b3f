"""Upstream manifests and charts that come with a Go module, copied to where the program looks for them."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from local.errors import LocalError
from local.paths import cache_dir
from local.progress import Progress, step
from local.toolchain import gocache, gohost


@dataclass(frozen=True)
class Wanted:
    """What one release has in its module."""

    name: str
    version: str
    module: str
    paths: tuple[str, ...]
    """Files, and folders that are copied whole."""


def folder() -> Path:
    """What `SEATRIAL_CHARTS` says."""
    return cache_dir() / "charts"


def ensure(wanted: Iterable[Wanted], progress: Progress) -> None:
    """Copy what is missing; the program itself compares the checksums.

    Raises:
        LocalError: a module cannot be fetched, or has no such file.
    """
    for release in wanted:
        target = folder() / f"{release.name}-{release.version}"
        if all((target / path).exists() for path in release.paths):
            continue
        label = f"fetch manifests of {release.name} {release.version}"
        with step(progress, label), gocache.in_use(progress):
            _copy(release, target)


def _copy(release: Wanted, target: Path) -> None:
    source = _module(f"{release.module}@v{release.version}")
    for path in release.paths:
        if not (source / path).exists():
            raise LocalError(
                f"Go module {release.module}@v{release.version} has no file or folder {path}",
                f"correct [{release.name}] in infra/releases.toml",
            )
        if not (target / path).exists():
            _place(source / path, target / path)


def _place(source: Path, target: Path) -> None:
    """Copy so that what is at `target` is whole. Go's files are read-only, which copies must not be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    if source.is_dir():
        for folder, _, files in os.walk(source):
            inside = unfinished / Path(folder).relative_to(source)
            inside.mkdir(exist_ok=True)
            for file in files:
                shutil.copyfile(Path(folder) / file, inside / file)
    else:
        shutil.copyfile(source, unfinished)
    unfinished.replace(target)


def _module(wanted: str) -> Path:
    """The unpacked module. The program has sums of its files, so Go's public list is not asked."""
    go = shutil.which("go")
    if go is None:
        raise LocalError(
            f"fetching {wanted} needs Go", "install Go from go.dev/dl and put its bin folder on PATH"
        )
    done = subprocess.run(
        [go, "mod", "download", "-json", wanted],
        cwd=cache_dir(),
        env={**gohost.environment(), "GONOSUMDB": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    answer: Mapping[str, str] = json.loads(done.stdout) if done.stdout.startswith("{") else {}
    if "Dir" not in answer:
        reason = answer.get("Error") or done.stderr.strip()
        raise LocalError(
            f"the Go module {wanted} could not be fetched: {reason}", "check the network and `go env GOPROXY`"
        )
    return Path(answer["Dir"])
