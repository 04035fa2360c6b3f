"""The parts of the platform that can be chosen by name, and what each adds to the core."""

from collections.abc import Collection, Mapping
from typing import Literal, get_args

Part = Literal["training", "tuning", "queueing", "serving"]

CORE = "core"
"""What is always there."""

ALL: tuple[Part, ...] = get_args(Part)

COMPONENTS: Mapping[Part, frozenset[str]] = {
    "training": frozenset({"training"}),
    "tuning": frozenset({"tuning"}),
    "queueing": frozenset({"queueing"}),
    "serving": frozenset({"certificates", "gateway", "serving", "scaling"}),
}
"""The folders under `infra/components` that a part adds; all others belong to the core."""


def parse(text: str) -> tuple[Part, ...]:
    """`core,tuning` as the parts besides the core, which need not be named.

    Raises:
        ValueError: a name is no part, or there is none.
    """
    named = [word.strip() for word in text.split(",")]
    if unknown := [word for word in named if word not in (CORE, *ALL)]:
        raise ValueError(f"{', '.join(map(repr, unknown))} (parts are: {', '.join((CORE, *ALL))})")
    return tuple(part for part in ALL if part in named)


def text(parts: Collection[Part]) -> str:
    """What `parse` reads."""
    return ",".join((CORE, *(part for part in ALL if part in parts)))


def left_out(component: str, parts: Collection[Part]) -> bool:
    """Whether a component belongs to a part, and to none of `parts`."""
    owners = [part for part in ALL if component in COMPONENTS[part]]
    return bool(owners) and not set(owners) & set(parts)
