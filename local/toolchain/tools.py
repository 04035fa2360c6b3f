"""The tools that can be built: what tools.toml and modules/<tool>/go.mod say about each."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Binary:
    """One file that a build makes."""

    package: str
    names: tuple[str, ...]
    """The first is built, the others are hard links to it."""


@dataclass(frozen=True)
class PathRule:
    """When a tool that is on PATH is as good as ours."""

    fits: str
    """`exact` or `minor`."""
    command: tuple[str, ...]
    """Prints the version."""
    version: str
    """The version that we want, as that command counts it."""


@dataclass(frozen=True)
class Tool:
    """One entry of tools.toml with the version from its go.mod filled in."""

    name: str
    version: str
    module_dir: Path
    binaries: tuple[Binary, ...]
    ldflags: str
    tags: str
    seconds: float
    megabytes: int
    cache_megabytes: int
    on_path: PathRule | None

    def names(self) -> list[str]:
        """Every command that the tool brings."""
        return [name for binary in self.binaries for name in binary.names]


def known() -> list[str]:
    """The names that `load` takes, in the order in which building them is quickest."""
    return list(_catalogue())


def load(name: str) -> Tool:
    """The tool of that name."""
    catalogue = _catalogue()
    if name not in catalogue:
        raise ValueError(f"no tool is called {name!r}; there are {', '.join(catalogue)}")
    entry = catalogue[name]
    module_dir = FOLDER / "modules" / name
    version = required_version(module_dir, entry["module"])
    numbers = _numbers(version)
    return Tool(
        name=name,
        version=version,
        module_dir=module_dir,
        binaries=tuple(Binary(one["package"], tuple(one["names"])) for one in entry["packages"]),
        ldflags=" ".join(entry.get("ldflags", "").format(**numbers).split()),
        tags=entry.get("tags", ""),
        seconds=entry["seconds"],
        megabytes=entry["megabytes"],
        cache_megabytes=entry["cache_megabytes"],
        on_path=_path_rule(entry.get("on_path"), numbers),
    )


def required_version(module_dir: Path, module: str) -> str:
    """The version of `module` that the go.mod in `module_dir` requires."""
    text = (module_dir / "go.mod").read_text()
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", text, re.MULTILINE)
    if match is None:
        raise ValueError(f"{module_dir / 'go.mod'} does not require {module}")
    return match[1]


def _path_rule(entry: dict[str, Any] | None, numbers: dict[str, str]) -> PathRule | None:
    if entry is None:
        return None
    version = entry.get("version", "{version}").format(**numbers)
    return PathRule(entry["fits"], tuple(entry["command"]), version)


def _numbers(version: str) -> dict[str, str]:
    major, minor, patch = version.removeprefix("v").split("-")[0].split("+")[0].split(".")
    return {"version": version, "major": major, "minor": minor, "patch": patch}


def _catalogue() -> dict[str, dict[str, Any]]:
    return tomllib.loads((FOLDER / "tools.toml").read_text())
