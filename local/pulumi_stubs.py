"""Pulumi's protocol stubs, imported without the rest of the `pulumi` package.

`import pulumi` costs a third of a second that each start of a plugin would pay; the stubs alone need a
tenth. They import each other as `pulumi.runtime.proto.*`, so packages of these names are put in place
that have a path and no code.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any


def stub(name: str) -> Any:
    """The generated module `pulumi.runtime.proto.<name>`."""
    if "pulumi" not in sys.modules:
        _put_bare_packages_in_place()
    return importlib.import_module(f"pulumi.runtime.proto.{name}")


def _put_bare_packages_in_place() -> None:
    spec = importlib.util.find_spec("pulumi")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("the Python package `pulumi` is not installed: `make setup` installs it")
    root = spec.submodule_search_locations[0]
    for name, folder in (("", ""), (".runtime", "/runtime"), (".runtime.proto", "/runtime/proto")):
        package = types.ModuleType(f"pulumi{name}")
        package.__path__ = [f"{root}{folder}"]
        sys.modules[f"pulumi{name}"] = package
