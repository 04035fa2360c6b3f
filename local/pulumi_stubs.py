"""Pulumi's protocol stubs, imported without the rest of the `pulumi` package.

`import pulumi` costs a third of a second that each start of a plugin would pay; the stubs alone need a tenth.
They import each other as `pulumi.runtime.proto.*`, so while they do, packages of these names are in place
that have a path and no code. The real packages can still be imported later.
"""

import importlib
import importlib.util
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def stub(name: str) -> Any:
    """The generated module `pulumi.runtime.proto.<name>`."""
    with _bare_packages():
        return importlib.import_module(f"pulumi.runtime.proto.{name}")


@contextmanager
def _bare_packages() -> Iterator[None]:
    if "pulumi" in sys.modules:
        yield
        return
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the Python package `pulumi` is not installed: any `make` target installs it")
    root = spec.submodule_search_locations[0]
    folders = {
        "pulumi": root,
        "pulumi.runtime": f"{root}/runtime",
        "pulumi.runtime.proto": f"{root}/runtime/proto",
    }
    for name, folder in folders.items():
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [folder]
    try:
        yield
    finally:
        for name in folders:
            del sys.modules[name]
