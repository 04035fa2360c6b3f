"""How a workload's settings are given other values on its command line."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from workloads.common import HopelessError

Settings = TypeVar("Settings", bound=Any)
SWITCH = {"true": True, "false": False}


def changed(settings: Settings, assignments: Sequence[str]) -> Settings:
    """The settings (a dataclass) with some of them given as `name=value`, for example `learning_rate=0.01`.

    Raises:
        HopelessError: there is no such setting, or the value does not fit it.
    """
    single = {field.name: getattr(settings, field.name) for field in fields(settings)}
    single = {name: value for name, value in single.items() if isinstance(value, int | float | str)}
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        if name not in single:
            raise HopelessError(f"there is no setting '{name}'; there are: {', '.join(single)}")
        try:
            settings = replace(settings, **{name: _like(single[name], text)})
        except (KeyError, ValueError) as error:
            raise HopelessError(
                f"setting {name} does not take '{text}', it is like {single[name]!r}"
            ) from error
    return settings


def stated(settings: Settings, arguments: Sequence[str] | None) -> Settings:
    """The settings that a program's arguments will make of these, for who writes its manifest.

    Raises:
        ValueError: there is no such setting, or the value does not fit it.
    """
    try:
        return changed(settings, [word for word in arguments or () if word != "--set"])
    except HopelessError as unfit:
        raise ValueError(str(unfit)) from None


def _like(value: Any, text: str) -> Any:
    return SWITCH[text] if isinstance(value, bool) else type(value)(text)
