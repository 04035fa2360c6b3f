"""promtool, with which alert rules are tested: of the Debian release that the images are made of.

Its package is unpacked into the cache, not installed: other releases have it in one package with the server,
which would then run on this machine.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from local.errors import LocalError
from local.images import hostconfig
from local.paths import cache_dir
from local.progress import Progress, Silent, step
from local.toolchain import onpath
from local.toolchain.locks import locked
from local.toolchain.tools import PathRule
from local.toolchain.workspace import workspace

NAME = "promtool"
_SECONDS = 32.0
"""Measured on 2 cores at work; 25 s of it are the lists of packages (32 MB to fetch, 87 MB kept)."""


def ensure(version: str, progress: Progress | None = None) -> Path:
    """The command for Prometheus `version`, from PATH or the cache, where it is unpacked if need be.

    Raises:
        LocalError: it cannot be had, or is that of another `major.minor` version.
    """
    progress = progress or Silent()
    if (there := _on_path(version)) or (there := _cached(version)):
        return there
    tools = cache_dir() / "tools"
    with locked(tools / ".locks" / NAME, waiting=lambda: progress.say(f"waiting: {NAME} is being fetched")):
        if there := _cached(version):
            return there
        with step(progress, f"fetch {NAME} {version}", _SECONDS), workspace() as temporary:
            program = _fetch(temporary, version)
            program.chmod(0o755)
            final = _place(version)
            final.parent.mkdir(exist_ok=True)
            program.replace(final)
    return final


def _place(version: str) -> Path:
    return cache_dir() / "tools" / f"{NAME}-{version}" / NAME


def _cached(version: str) -> Path | None:
    return _place(version) if os.access(_place(version), os.X_OK) else None


def _on_path(version: str) -> Path | None:
    found = shutil.which(NAME)
    return Path(found) if found and _fits(Path(found), version) else None


def _fits(program: Path, version: str) -> bool:
    rule = PathRule(fits="minor", command=(NAME, "--version"), version=version)
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    return onpath.fits(rule, said.stdout)


def _fetch(folder: Path, version: str) -> Path:
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise LocalError(
            f"{NAME} {version} is not on PATH, and a system that is not Debian-like cannot fetch it",
            f"put {NAME} of Prometheus {version} on PATH",
        )
    options = _apt(folder)
    _run(["apt-get", *options, "update", "-q"], folder, version)
    _run(["apt-get", *options, "download", "-q", NAME], folder, version)
    unpacked = folder / "unpacked"  # dpkg gives it the rights that `/` has in the package
    for package in folder.glob("*.deb"):
        _run(["dpkg", "-x", str(package), str(unpacked)], folder, version)
    program = unpacked / "usr" / "bin" / NAME
    if not program.is_file() or not _fits(program, version):
        raise LocalError(
            f"the images' Debian release has no {NAME} of Prometheus {version}",
            "set `version` of [prometheus] in infra/releases.toml to the one that it has, "
            f"or put {NAME} {version} on PATH",
        )
    return program


def _apt(folder: Path) -> list[str]:
    """Lists and sources in `folder`: those of the machine stay as they are, and no root is needed."""
    for inner in ("lists/partial", "cache/archives/partial"):
        (folder / inner).mkdir(parents=True)
    sources = folder / "sources.list"
    sources.write_text("".join(f"{line}\n" for line in hostconfig.sources()))
    settings = {
        "Dir::Etc::SourceList": str(sources),
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": str(folder / "lists"),
        "Dir::Cache": str(folder / "cache"),
        "APT::Sandbox::User": "root",
        "Acquire::Languages": "none",
    }
    return [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]


def _run(command: Sequence[str], folder: Path, version: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
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
            f"fetching {NAME} {version} failed in `{command[0]}`:{last}",
            f"mend what the lines above name (network, package sources), or put {NAME} {version} on PATH",
        )
