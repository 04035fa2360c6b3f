"""Pulumi's protocol stubs, imported without the rest of the `pulumi` package.

`import pulumi` costs a third of a second that every preview would pay; the stubs alone need half of that.
They import each other as `pulumi.runtime.proto.*`, so packages of these names are put in place that have a
path and no code.
"""

import importlib
import importlib.util
import sys
import types
from typing import Any


def _bare_package(name: str, folder: str) -> None:
    if name not in sys.modules:
        package = types.ModuleType(name)
        package.__path__ = [folder]
        sys.modules[name] = package


def _stub(name: str) -> Any:
    return importlib.import_module(f"pulumi.runtime.proto.{name}")


if "pulumi" not in sys.modules:
    _spec = importlib.util.find_spec("pulumi")
    if _spec is None or not _spec.submodule_search_locations:
        raise ImportError("the Python package `pulumi` is not installed beside the provider")
    _root = _spec.submodule_search_locations[0]
    _bare_package("pulumi", _root)
    _bare_package("pulumi.runtime", f"{_root}/runtime")
    _bare_package("pulumi.runtime.proto", f"{_root}/runtime/proto")

engine: Any = _stub("engine_pb2")
engine_grpc: Any = _stub("engine_pb2_grpc")
plugin: Any = _stub("plugin_pb2")
provider: Any = _stub("provider_pb2")
provider_grpc: Any = _stub("provider_pb2_grpc")
status: Any = _stub("status_pb2")
