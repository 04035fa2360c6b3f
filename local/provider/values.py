"""Property values: gRPC structs to Python values and back, with secrets and values that are not known yet."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

_SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN_STRING: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        _UNKNOWN_STRING,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",  # boolean
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",  # number
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",  # array
        "030794c1-ac77-496b-92df-f27374a8bd58",  # asset
        "e48ece36-62e2-4504-bad9-02848725956a",  # archive
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",  # object
    }
)


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that must never be shown."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(…)"


class Unknown:
    """A value that a preview does not know yet; there is one instance, `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"

    def __deepcopy__(self, memo: object) -> "Unknown":
        return self


UNKNOWN: Final = Unknown()


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The struct as a dictionary whose leaves may be `Secret` or `UNKNOWN`."""
    return {key: _from_value(value) for key, value in struct.fields.items()}


def _from_value(value: struct_pb2.Value) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        text = value.string_value
        return UNKNOWN if text in _UNKNOWNS else text
    if kind == "struct_value":
        return _from_object(from_struct(value.struct_value))
    if kind == "list_value":
        return [_from_value(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        # Kubernetes has many integers and the wire has none; 3.0 would be refused where 3 is meant.
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    return None


def _from_object(fields: dict[str, Any]) -> Any:
    signature = fields.get(_SIGNATURE)
    if signature == _SECRET:
        return Secret(fields.get("value"))
    if signature == _OUTPUT:
        inner = fields.get("value", UNKNOWN)
        return Secret(inner) if fields.get("secret") else inner
    if signature is not None:
        raise ValueError("an asset, archive or resource reference cannot be part of a Kubernetes object")
    return fields


def to_struct(fields: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    for key, value in fields.items():
        _fill(struct.fields[key], value)
    return struct


def _fill(target: struct_pb2.Value, value: Any) -> None:
    if isinstance(value, str):
        target.string_value = value
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        fields = target.struct_value.fields
        for key, item in value.items():
            _fill(fields[key], item)
    elif isinstance(value, list):
        target.list_value.SetInParent()
        for item in value:
            _fill(target.list_value.values.add(), item)
    elif isinstance(value, Secret):
        fields = target.struct_value.fields
        fields[_SIGNATURE].string_value = _SECRET
        _fill(fields["value"], value.value)
    elif value is UNKNOWN:
        target.string_value = _UNKNOWN_STRING
    else:
        target.null_value = struct_pb2.NULL_VALUE


def plain(value: Any) -> Any:
    """A deep copy without secret wrappers; `UNKNOWN` stays."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return plain(value.value) if isinstance(value, Secret) else value


def unwrap(value: Any) -> Any:
    """The value itself, without its own secret wrapper."""
    while isinstance(value, Secret):
        value = value.value
    return value


def any_leaf(value: Any, test: Callable[[Any], bool]) -> bool:
    """Whether `test` holds for the value or for anything inside it."""
    if test(value):
        return True
    if isinstance(value, dict):
        return any(any_leaf(item, test) for item in value.values())
    if isinstance(value, list):
        return any(any_leaf(item, test) for item in value)
    return isinstance(value, Secret) and any_leaf(value.value, test)


def has_unknown(value: Any) -> bool:
    return any_leaf(value, lambda leaf: leaf is UNKNOWN)


def has_secret(value: Any) -> bool:
    return any_leaf(value, lambda leaf: isinstance(leaf, Secret))
