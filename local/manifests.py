"""Upstream manifests that come with a Go module, copied to where the program looks for them."""

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
    """Files of one release."""

    name: str
    version: str
    module: str
    files: tuple[str, ...]


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
        if all((target / file).is_file() for file in release.files):
            continue
        label = f"fetch manifests of {release.name} {release.version}"
        with step(progress, label), gocache.in_use(progress):
            _copy(release, target)


def _copy(release: Wanted, target: Path) -> None:
    source = _module(f"{release.module}@v{release.version}")
    for file in release.files:
        if not (source / file).is_file():
            raise LocalError(
                f"Go module {release.module}@v{release.version} has no file {file}",
                f"correct the files of [{release.name}] in infra/releases.toml",
            )
        (target / file).parent.mkdir(parents=True, exist_ok=True)
        unfinished = (target / file).with_name(f".{Path(file).name}.{os.getpid()}")
        shutil.copyfile(source / file, unfinished)
        unfinished.replace(target / file)


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
