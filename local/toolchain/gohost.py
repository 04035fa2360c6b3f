"""The machine's Go: where it is, whether it is new enough, and the environment that builds run in."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from local.errors import LocalError
from local.paths import cache_dir

Version = tuple[int, ...]


def build_cache() -> Path:
    """Compiled packages, shared by all tools."""
    return cache_dir() / "go" / "build"


def module_cache() -> Path:
    """Downloaded modules, shared by all tools."""
    return cache_dir() / "go" / "mod"


def environment() -> dict[str, str]:
    """The host's Go configuration with our caches; no cgo, no other Go than the one installed, no go.work."""
    return os.environ | {
        "GOCACHE": str(build_cache()),
        "GOMODCACHE": str(module_cache()),
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOWORK": "off",
    }


def find(module_dir: Path) -> Path:
    """The `go` command, new enough for the module in `module_dir`."""
    needed = _needed(module_dir)
    todo = f"install Go {needed} or newer from go.dev/dl and put its bin folder on PATH"
    command = shutil.which("go")
    if command is None:
        raise LocalError(f"building {module_dir.name} needs Go {needed}, and there is no go on PATH", todo)
    installed = _installed(Path(command))
    if _parsed(installed) < _parsed(needed):
        raise LocalError(f"building {module_dir.name} needs Go {needed}, and {command} is {installed}", todo)
    return Path(command)


def _needed(module_dir: Path) -> str:
    match = re.search(r"^go (\S+)$", (module_dir / "go.mod").read_text(), re.MULTILINE)
    return match[1] if match else "1.26"


def _installed(command: Path) -> str:
    """The version from the file that each Go installation has, else (a wrapper) from go itself."""
    note = command.resolve().parent.parent / "VERSION"
    if note.is_file():
        return note.read_text().split()[0].removeprefix("go")
    asked = subprocess.run(
        [command, "env", "GOVERSION"], env=environment(), capture_output=True, text=True, check=False
    )
    return asked.stdout.strip().removeprefix("go") or "0"


def _parsed(version: str) -> Version:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])
