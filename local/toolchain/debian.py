"""Distribution packages: which are needed and why (debian.toml), which are missing, how they come."""

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path

from local.errors import LocalError
from local.paths import cache_dir
from local.progress import Progress, Silent, step
from local.toolchain.locks import locked

_LIST = Path(__file__).parent / "debian.toml"
_SECONDS = 21.0
"""Measured with the whole list on a system that had none of it (98 MB to fetch, 362 MB on disk)."""


def needed() -> dict[str, str]:
    """The packages that the local platform takes from the distribution, with the reason for each."""
    return {name: entry["why"] for name, entry in _entries().items()}


def missing(packages: Iterable[str]) -> list[str]:
    """Those of `packages` that are neither installed nor there in another way (`provides`)."""
    entries = _entries()
    left = [name for name in packages if not _provided(entries.get(name, {}).get("provides"))]
    installed = _installed(left)
    return [name for name in left if name not in installed]


def ensure(packages: Iterable[str], progress: Progress | None = None, install: bool = True) -> None:
    """Install what is missing, which takes root and apt; with `install=False` that is an error."""
    progress = progress or Silent()
    packages = list(packages)
    lacking = missing(packages)
    if not lacking:
        return
    _refuse_unless_possible(lacking, install)
    with locked(
        cache_dir() / "tools" / ".locks" / "apt", waiting=lambda: progress.say("waiting: apt is in use")
    ):
        lacking = missing(packages)
        if lacking:
            with step(progress, f"install {', '.join(lacking)}", _SECONDS):
                _install(lacking)


def _refuse_unless_possible(lacking: list[str], install: bool) -> None:
    reasons = needed()
    named = "".join(f"\n    {name}: {reasons.get(name, 'asked for')}" for name in lacking)
    command = f"apt-get install --no-install-recommends {' '.join(lacking)}"
    if shutil.which("apt-get") is None:
        raise LocalError(
            f"this is not a Debian-like system, so these packages cannot be installed here:{named}",
            "install what your distribution calls them, so that their commands are on PATH",
        )
    if not install:
        raise LocalError(f"these packages are missing:{named}", f"run `{command}`")
    if os.geteuid() != 0:
        raise LocalError(
            f"these packages are missing, and installing them takes root:{named}", f"run `sudo {command}`"
        )


def _install(packages: list[str]) -> None:
    if any(name.name.isdigit() for name in _listed(Path("/var/lib/dpkg/updates"))):  # it was killed once
        _run(["dpkg", "--configure", "-a"], packages)
    wait = ["-o", "DPkg::Lock::Timeout=300"]
    _run(["apt-get", *wait, "update", "-q"], packages)
    _run(["apt-get", *wait, "install", "-q", "-y", "--no-install-recommends", *packages], packages)


def _run(command: Sequence[str], packages: list[str]) -> None:
    done = subprocess.run(
        command,
        env=os.environ | {"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        last = "".join(f"\n    {line}" for line in done.stdout.strip().splitlines()[-12:])
        raise LocalError(
            f"installing {', '.join(packages)} failed in `{' '.join(command)}`:{last}",
            "mend what the lines above name (network, package sources, disk), then run again",
        )


def _installed(packages: list[str]) -> set[str]:
    if not packages or shutil.which("dpkg-query") is None:
        return set()
    asked = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        capture_output=True,
        text=True,
        check=False,  # 1 when one of them is unknown; the others are listed all the same
    )
    rows = (line.split() for line in asked.stdout.splitlines())
    return {row[0] for row in rows if row[1:] == ["installed"]}


def _provided(by: str | None) -> bool:
    if by is None:
        return False
    return Path(by).exists() if by.startswith("/") else shutil.which(by) is not None


def _listed(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _entries() -> dict[str, dict[str, str]]:
    return tomllib.loads(_LIST.read_text())
