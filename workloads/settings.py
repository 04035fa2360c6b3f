"""How a workload's settings are given other values on its command line."""

from collections.abc import Sequence
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, TypeVar

from workloads.common import HopelessError

Settings = TypeVar("Settings", bound=Any)
SWITCH = {"true": True, "false": False}


def changed(settings: Settings, assignments: Sequence[str]) -> Settings:
    """The settings (a dataclass) with some of them given as `name=value`.

    `learning_rate=0.01`, or several whole numbers: `train_months=1-5,8`.

    Raises:
        HopelessError: there is no such setting, or the value does not fit it.
    """
    known = {field.name: getattr(settings, field.name) for field in fields(settings)}
    known = {name: value for name, value in known.items() if settable(value)}
    given: dict[str, Any] = {}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in known:
            raise HopelessError(f"there is no setting '{name}'; there are: {', '.join(known)}")
        try:
            given[name] = _like(known[name], text)
        except (KeyError, ValueError) as error:
            raise HopelessError(
                f"setting {name} does not take '{text}', it is like {known[name]!r}"
            ) from error
    # All at once: some only fit together.
    return replace(settings, **given)


def settable(value: Any) -> bool:
    """Whether a setting with this value can be given another one in a word."""
    return isinstance(value, int | float | str) or _whole_numbers(value)


def stated(settings: Settings, arguments: Sequence[str] | None) -> Settings:
    """The settings that a program's arguments (`--set NAME=VALUE`, and others) will make of these.

    For who writes its manifest.

    Raises:
        ValueError: there is no such setting, or the value does not fit it.
    """
    try:
        return changed(settings, [word for option, word in pairwise(arguments or ()) if option == "--set"])
    except HopelessError as unfit:
        raise ValueError(str(unfit)) from None


def _whole_numbers(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(isinstance(number, int) for number in value)


def _like(value: Any, text: str) -> Any:
    if isinstance(value, tuple):
        return tuple(number for part in text.split(",") for number in _span(part))
    return SWITCH[text] if isinstance(value, bool) else type(value)(text)


def _span(text: str) -> range:
    """`3` or `1-5`.

    Raises:
        ValueError: it is neither, or runs backwards.
    """
    first, dash, last = text.partition("-")
    found = range(int(first), int(last if dash else first) + 1)
    if not found:
        raise ValueError(f"'{text}' holds no number")
    return found
