"""What others changed: the program's inputs, brought to what the server has now.

The server spells things its own way (`1000m` becomes `1`) and adds defaults. So an input only counts as
changed where the live object of now differs from the live object that the last operation left behind.
"""

import base64
from typing import Any, Final

from local.provider.objects import Object, pluck


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = _Missing()


def drifted(inputs: Object, before: Object, now: Object) -> Object:
    """`inputs` (plain) with every field that changed from `before` to `now`, both live objects."""
    if inputs.get("kind") == "Secret" and isinstance(inputs.get("stringData"), dict):
        before, now = _with_string_data(inputs, before), _with_string_data(inputs, now)
    result = _adopt(inputs, before, now)
    assert isinstance(result, dict)
    return result


def _adopt(given: Any, before: Any, now: Any) -> Any:
    if now == before:
        return given
    if isinstance(given, dict) and isinstance(now, dict):
        return _adopt_fields(given, before if isinstance(before, dict) else {}, now)
    if isinstance(given, list) and isinstance(now, list):
        return _adopt_items(given, before if isinstance(before, list) else [], now)
    return now


def _adopt_fields(given: Object, before: Object, now: Object) -> Object:
    result = {}
    for key, value in given.items():
        if key in now:
            result[key] = _adopt(value, before.get(key, MISSING), now[key])
        elif key not in before:
            result[key] = value  # the server never kept it (stringData, for one), so nobody removed it
    return result


def _adopt_items(given: list[Any], before: list[Any], now: list[Any]) -> list[Any]:
    if not all(isinstance(item, dict) for item in [*given, *now]):
        return now
    names = [item.get("name") for item in now]
    if len(set(names)) == len(names) and all(names) and all(item.get("name") for item in given):
        # Items with names are a map; others may add theirs (a sidecar), which is no change of ours.
        after, old = {item["name"]: item for item in now}, {item.get("name"): item for item in before}
        return [
            _adopt(item, old.get(item["name"], MISSING), after[item["name"]])
            for item in given
            if item["name"] in after
        ]
    padded = [*before, *([MISSING] * len(given))]
    return [_adopt(item, padded[index], now[index]) for index, item in enumerate(given[: len(now)])]


def _with_string_data(inputs: Object, live: Object) -> Object:
    """The server turns `stringData` into `data`; this turns back what the program gave that way."""
    decoded = {}
    for key in inputs["stringData"]:
        value = pluck(live, "data", key)
        if isinstance(value, str):
            decoded[key] = base64.b64decode(value).decode(errors="replace")
    return {**live, "stringData": decoded}
