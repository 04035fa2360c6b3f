"""Tools that are on PATH already, taken when their version fits.

Only the files count: whether a containerd runs as a service of the machine does not matter.
What a command answered is remembered with the file's size and time, so that it is asked once.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from local.paths import cache_dir
from local.toolchain.tools import PathRule, Tool


def find(tool: Tool, *, remember: bool = True) -> Mapping[str, Path] | None:
    """The tool's commands, all from one folder of PATH, when the version fits; the first on PATH decides."""
    rule = tool.on_path
    command = shutil.which(rule.command[0]) if rule else None
    if rule is None or command is None:
        return None
    commands = {name: Path(command).parent / name for name in tool.names()}
    if not all(os.access(path, os.X_OK) for path in commands.values()):
        return None
    return commands if fits(rule, _answer(Path(command), rule, remember)) else None


def fits(rule: PathRule, answer: str) -> bool:
    """Whether what a command says of its version satisfies the rule."""
    said = re.search(r"\d+\.\d+\.\d+[^\s,]*", answer)
    if said is None:
        return False
    found, wanted = said[0], rule.version.removeprefix("v")
    if rule.fits == "exact":
        return found == wanted
    return found.split(".")[:2] == wanted.split(".")[:2]


def _answer(command: Path, rule: PathRule, remember: bool) -> str:
    note = cache_dir() / "tools" / "on-path.json"
    known = _read(note)
    status = command.stat()
    key = f"{command} {status.st_size} {status.st_mtime_ns}"
    if key not in known:
        known[key] = _ask(command, rule)
        if remember:
            _write(note, known)
    return known[key]


def _ask(command: Path, rule: PathRule) -> str:
    try:
        said = subprocess.run(
            [command, *rule.command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.stdout if said.returncode == 0 else ""


def _read(note: Path) -> dict[str, str]:
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _write(note: Path, known: dict[str, str]) -> None:
    note.parent.mkdir(parents=True, exist_ok=True)
    whole = note.with_name(f"{note.name}.{os.getpid()}")
    whole.write_text(json.dumps(known))
    whole.replace(note)
