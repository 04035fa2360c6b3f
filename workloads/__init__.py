"""Reference workloads: plain programs that run in pods and use the platform as its users would.

A workload is a folder with `main.py`, `config.py`, `manifest.py` and a README. It knows its platform by
environment variables only.
"""

import importlib
import inspect
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

COMMON_IMAGE = "workloads"
"""The image that most of them run in; some need another one of the same tag."""


def names() -> list[str]:
    """The workloads there are."""
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/manifest.py"))


def manifest(
    workload: str, image: str, *, served: Collection[str] | None = None, **options: Any
) -> list[dict[str, Any]]:
    """The Kubernetes objects that run `workload` from `image`, or from the image beside it that it needs.

    Some workloads come in several forms: `served` are the kinds that the cluster has, and the first form that
    is among them is taken (the last, when none is).
    """
    module = _module(workload)
    forms = getattr(module, "FORMS", ())
    if forms and served is not None:
        options["form"] = next((form for form in forms if form in served), forms[-1])
    if unknown := options.keys() - _options(module):
        raise ValueError(f"workload {workload} has no option {', '.join(sorted(unknown))}")
    beside = getattr(module, "IMAGE", None)
    objects: list[dict[str, Any]] = module.objects(image_of(image, beside) if beside else image, **options)
    return objects


def image_of(image: str, name: str) -> str:
    """The image called `name` of the same make as `image`, which may be that one.

    Raises:
        ValueError: it is named by a digest, which says nothing of another image.
    """
    path, _, tag = image.rpartition(":")
    folder, _, own = path.rpartition("/")
    if own.partition("@")[0] == name:
        return image
    if "@" in image or own != COMMON_IMAGE:
        raise ValueError(f"'{image}' does not tell which image called {name} is meant; name that one")
    return f"{folder}/{name}:{tag}"


def options(workload: str) -> set[str]:
    """What `manifest` takes for this workload, by name."""
    return _options(_module(workload))


def parts(workload: str) -> tuple[str, ...]:
    """The parts of a platform that the workload does not run without, besides the core."""
    found: tuple[str, ...] = getattr(_module(workload), "PARTS", ())
    return found


def _module(workload: str) -> ModuleType:
    if workload not in names():
        raise ValueError(f"there is no workload '{workload}'; there are: {', '.join(names())}")
    return importlib.import_module(f"workloads.{workload}.manifest")


def _options(module: ModuleType) -> set[str]:
    return set(inspect.signature(module.objects).parameters) - {"image"}
