"""Reference workloads: plain programs that run in pods and use the platform as its users would.

A workload is a folder with `main.py`, `config.py`, `manifest.py` and a README. It knows its platform by
environment variables only.
"""

import importlib
from pathlib import Path
from typing import Any


def names() -> list[str]:
    """The workloads there are."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/manifest.py"))


def manifest(name: str, image: str, **options: Any) -> list[dict[str, Any]]:
    """The Kubernetes objects that run workload `name` from `image`."""
    if name not in names():
        raise ValueError(f"there is no workload '{name}'; there are: {', '.join(names())}")
    objects: list[dict[str, Any]] = importlib.import_module(f"workloads.{name}.manifest").objects(
        image, **options
    )
    return objects
