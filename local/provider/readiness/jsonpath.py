"""The JSONPath of kubectl's `wait --for`: fields, quoted fields, indexes, `[*]`, filters by equality."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from local.provider.errors import ProviderError

_STEP: Final = re.compile(
    r"""\.(?P<field>(?:[A-Za-z0-9_$/-]|\\\.)+)          # .field, a dot in it escaped
      | \.?\[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]   # ['field']
      | \.?\[\s*(?P<index>-?\d+)\s*\]                    # [0]
      | \.?\[\s*\*\s*\] | (?P<star>\.\*)                 # [*]
      | \.?\[\s*\?\(?\s*@(?P<where>[^=!<>]*?)\s*==\s*(?P<value>'[^']*'|"[^"]*"|[^\s)\]]+)\s*\)?\s*\]
    """,
    re.VERBOSE,
)

Step = Callable[[Any], Iterator[Any]]


class JsonPath:
    """A parsed path."""

    def __init__(self, text: str) -> None:
        self._steps: list[Step] = []
        rest = text.strip().removeprefix("$")
        while rest:
            match = _STEP.match(rest)
            if match is None:
                raise ProviderError(f"the JSONPath {text!r} is not understood from {rest!r} on")
            self._steps.append(_step(match))
            rest = rest[match.end() :]
        if not self._steps:
            raise ProviderError(f"the JSONPath {text!r} names no field")

    def find(self, obj: Any) -> list[Any]:
        """Every value at the path."""
        found = [obj]
        for step in self._steps:
            found = [value for item in found for value in step(item)]
        return found


def _step(match: re.Match[str]) -> Step:
    if match["field"] is not None:
        return _field(match["field"].replace("\\.", "."))
    if match["quoted"] is not None:
        return _field(match["quoted"])
    if match["index"] is not None:
        return _index(int(match["index"]))
    if match["where"] is not None:
        return _filter(match["where"], match["value"].strip("'\""))
    return _all


def _field(name: str) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and name in value:
            yield value[name]

    return step


def _index(index: int) -> Step:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= index < len(value):
            yield value[index]

    return step


def _filter(where: str, wanted: str) -> Step:
    path = JsonPath(where) if where else None

    def step(value: Any) -> Iterator[Any]:
        for item in value if isinstance(value, list) else []:
            found = path.find(item) if path else [item]
            if any(
                str(entry).lower() == wanted.lower() if isinstance(entry, bool) else str(entry) == wanted
                for entry in found
            ):
                yield item

    return step


def _all(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list):
        yield from value
