"""Puts the stand-in where the engine looks for plugins, unless the vendor's plugin is there."""

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from local.provider import VERSION

_NAME: Final = "pulumi-resource-kubernetes"
_MARK: Final = "local.provider"


def install(home: Path, python: Path | None = None) -> Path:
    """Make `home` (PULUMI_HOME) able to start a kubernetes provider; returns the program to be started.

    A plugin that is not ours is left alone. `python` is the interpreter that can import this package.
    """
    folder = home / "plugins" / f"resource-kubernetes-v{VERSION}"
    program = folder / _NAME
    if program.exists() and _MARK.encode() not in program.read_bytes()[:4096]:
        return program
    content = _script(python or Path(sys.executable))
    if not program.exists() or program.read_text() != content:
        folder.mkdir(parents=True, exist_ok=True)
        fresh = folder / f".{_NAME}.{os.getpid()}"
        fresh.write_text(content)
        fresh.chmod(0o755)
        fresh.rename(program)
    return program


def _script(python: Path) -> str:
    """`exec` keeps the process that the engine started, so that it ends with the engine."""
    root = Path(__file__).resolve().parents[2]
    return (
        "#!/bin/sh\n"
        f"PYTHONPATH={shlex.quote(str(root))}${{PYTHONPATH:+:$PYTHONPATH}} PYTHONSAFEPATH=1 \\\n"
        f'exec {shlex.quote(str(python))} -m {_MARK} "$@"\n'
    )
