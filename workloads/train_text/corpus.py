"""Text that is wherever Python is, so that nothing has to be downloaded.

It differs between versions of Python, so its hash is in every report: compare losses of one text only.
"""

import importlib
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workloads.common import HopelessError, digest

HELD_OUT = 0.1
"""The last tenth of the text is never trained on."""


@dataclass(frozen=True)
class Text:
    """The bytes of a text, and where they come from."""

    origin: str
    train: bytes
    held_out: bytes
    sha256: str
    """Of both parts together."""


def read(name: str) -> Text:
    """The text `topics` or `stdlib`, of the Python that runs this.

    Raises:
        HopelessError: there is no such text, or this Python was installed without it.
    """
    if name not in ("topics", "stdlib"):
        raise HopelessError(f"there is no corpus '{name}'; there are: topics, stdlib")
    origin, whole = _topics() if name == "topics" else _stdlib()
    cut = len(whole) - int(len(whole) * HELD_OUT)
    return Text(origin, whole[:cut], whole[cut:], digest(whole))


def _topics() -> tuple[str, bytes]:
    """Python's language reference as `help()` tells it, a topic after the other."""
    try:
        topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    except ImportError as error:
        raise HopelessError(
            "this Python has no pydoc_data.topics (Debian: install libpython3-stdlib): " + str(error)
        ) from error
    return f"pydoc_data.topics of {_python()}", "\n".join(topics[name] for name in sorted(topics)).encode()


def _stdlib() -> tuple[str, bytes]:
    """The source of the standard library's modules, a file after the other by its path."""
    parts = [path.read_bytes() for path in _sources(Path(sysconfig.get_paths()["stdlib"]))]
    if not parts:
        raise HopelessError(
            "this Python was installed without the source of its library; use --set corpus=topics"
        )
    return f"source of the standard library of {_python()}, {len(parts)} files", b"\n".join(parts)


def _sources(folder: Path) -> Iterator[Path]:
    """No tests: installations differ in whether they have them."""
    tops = [folder / name for name in sorted(sys.stdlib_module_names - {"test", "idlelib", "lib2to3"})]
    for top in tops:
        if top.with_suffix(".py").is_file():
            yield top.with_suffix(".py")
        for path in sorted(top.rglob("*.py")):
            if not {"test", "tests", "site-packages"} & set(path.relative_to(folder).parts):
                yield path


def _python() -> str:
    return f"Python {'.'.join(map(str, sys.version_info[:3]))}"
