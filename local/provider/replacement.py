"""The fields that cannot change in place, per kind: the official provider's static rules.

A field is a dotted path, `[*]` stands for every item of a list. A change at, below or above a listed field
replaces the object.
"""

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from local.provider.config import Config
from local.provider.objects import Object, kind_of

Path_ = tuple[str | int, ...]
_IDENTITY = ("metadata.name", "metadata.namespace")


@cache
def _table() -> dict[str, list[str]]:
    with (Path(__file__).parent / "replacement.toml").open("rb") as file:
        rules = tomllib.load(file)["replace"]
    return {kind: rule["fields"] for rule in rules for kind in rule["kinds"]}


@cache
def _pattern(field: str) -> tuple[str, ...]:
    return tuple(field.replace("[*]", ".*").split("."))


def fields(inputs: Object, config: Config, *, patch: bool) -> list[tuple[str, ...]]:
    """The fields of this object whose change replaces it."""
    names = [*_IDENTITY]
    if not patch:
        names += _of_kind(inputs, config)
    return [_pattern(field) for field in names]


def _of_kind(inputs: Object, config: Config) -> list[str]:
    kind = kind_of(inputs)
    immutable = inputs.get("immutable") is True
    if kind.api_version == "v1" and kind.kind == "Secret" and (immutable or not config.enable_secret_mutable):
        return ["type", "stringData", "data"]
    if (
        kind.api_version == "v1"
        and kind.kind == "ConfigMap"
        and (immutable or not config.enable_config_map_mutable)
    ):
        return ["binaryData", "data"]
    return _table().get(f"{kind.api_version}/{kind.kind}", [])


def touches(path: Path_, value: Any, patterns: list[tuple[str, ...]]) -> bool:
    """Whether a change of `value` at `path` is a change of one of the fields."""
    return any(_touches(path, value, pattern) for pattern in patterns)


def _touches(path: Path_, value: Any, pattern: tuple[str, ...]) -> bool:
    for step, wanted in zip(path, pattern, strict=False):
        if wanted != "*" and str(step) != wanted:
            return False
    return _contains(value, pattern[len(path) :])


def _contains(value: Any, rest: tuple[str, ...]) -> bool:
    if not rest:
        return True
    if rest[0] == "*":
        return isinstance(value, list) and any(_contains(item, rest[1:]) for item in value)
    return isinstance(value, dict) and rest[0] in value and _contains(value[rest[0]], rest[1:])
