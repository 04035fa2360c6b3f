"""Where upstream files are looked for, and where what was read of them is kept."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

_READER = "1"
"""Counted up when reading changes, so that what an older version kept is not used."""


def folder() -> Path:
    """Where upstream files are kept: `$SEATRIAL_CHARTS`, else in the cache."""
    if given := os.environ.get("SEATRIAL_CHARTS"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "seatrial" / "charts"


def module_folder(module: str, version: str) -> Path:
    """Where Go unpacks a module; it writes a capital letter as `!` and the small one."""
    cache = os.environ.get("GOMODCACHE")
    root = Path(cache) if cache else Path(os.environ.get("GOPATH") or Path.home() / "go") / "pkg" / "mod"
    escaped = "".join(f"!{letter.lower()}" if letter.isupper() else letter for letter in module)
    return root / f"{escaped}@v{version}"


def objects(key: str, text: Callable[[], bytes]) -> list[Manifest]:
    """The objects of a YAML text, which is asked for when nothing is kept under `key`.

    Reading YAML is slow, so what was read is kept as JSON: the same key gives the same bytes.
    """
    kept = folder() / "rendered" / f"{key}-{_READER}.json"
    if not kept.is_file():
        read = [each for each in yaml.load_all(text(), Loader=Loader) if each]
        write(kept, json.dumps(read).encode())
    found: list[Manifest] = json.loads(kept.read_bytes())
    return found


class Loader(yaml.CSafeLoader):
    """Reads `=` and dates as text, as Kubernetes does; PyYAML follows YAML 1.1 there."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":value", ":timestamp"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def write(file: Path, content: bytes) -> None:
    """Write a file that others never see unfinished."""
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(file)
