"""Which parts the local stack has: chosen by `--parts`, remembered with the cluster, each at its cost."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from infra import settings
from infra.parts import ALL, COMPONENTS, CORE, Part, parse, text
from infra.settings_base import Resources
from local.cluster import Cluster
from local.cluster.preflight import Needs
from local.images import recipe, recipes_for
from local.toolchain import tools
from seatrial.context import LOCAL_STACK
from seatrial.wanted import addon_images, platform_images

USUAL = text([part for part in ALL if part != "serving"])
"""What comes unasked: with serving as well, a first `make up` would take longer than 75 minutes."""

PartsOption = Annotated[
    str, typer.Option("--parts", help="By commas; `seatrial setup --check` says what each costs.")
]
WithOption = Annotated[str, typer.Option("--with", help="Parts besides those of --parts, by commas.")]

CORE_NEEDS = Needs(memory=7 * 2**30, disk=12 * 2**30)
"""What the core takes besides the cache: pods with a training, their images on the nodes, volumes."""

_UNITS = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def chosen(given: str, besides: str = "") -> tuple[Part, ...]:
    """The parts that `--parts` and `--with` name.

    Raises:
        typer.BadParameter: one of them names something else.
    """
    found = _parsed(given, "--parts") + (_parsed(besides, "--with") if besides else ())
    return tuple(part for part in ALL if part in found)


def _parsed(given: str, option: str) -> tuple[Part, ...]:
    try:
        return parse(given)
    except ValueError as unknown:
        raise typer.BadParameter(str(unknown), param_hint=option) from None


def remember(cluster: str, parts: Collection[Part]) -> None:
    """Keep the choice as long as the cluster is there."""
    _file(cluster).write_text(text(parts))


def variables(cluster: str) -> dict[str, str]:
    """What makes plain `pulumi` agree with the last `seatrial up`; nothing where there was none."""
    file = _file(cluster)
    return {settings.PARTS_VARIABLE: file.read_text()} if file.is_file() else {}


def _file(cluster: str) -> Path:
    return Cluster(cluster).state / "parts"


@dataclass(frozen=True)
class Cost:
    """What a part takes on this machine."""

    part: str
    seconds: float
    """To build it from empty caches on 2 cores."""
    memory: int
    """Bytes that its pods request."""
    megabytes: int
    """Kept in the cache."""


def costs() -> list[Cost]:
    """Of each part, the core first; recipes that a part shares with the core count there."""
    shared = {image.recipe for image in (*addon_images(), *platform_images(()))}
    held = [tools.load(name) for name in tools.known()]
    core = Cost(
        CORE,
        sum(tool.seconds for tool in held) + _seconds(recipes_for(shared)),
        CORE_NEEDS.memory,
        sum(tool.megabytes for tool in held) + _megabytes(recipes_for(shared)),
    )
    return [core, *(_cost(part, recipes_for(shared)) for part in ALL)]


def _cost(part: Part, built: set[str]) -> Cost:
    own = recipes_for({image.recipe for image in platform_images((part,))}) - built
    return Cost(part, _seconds(own), _memory(part), _megabytes(own))


def _seconds(names: set[str]) -> float:
    return sum(recipe.load(name).seconds for name in names)


def _megabytes(names: set[str]) -> int:
    return sum(recipe.load(name).megabytes for name in names)


def _memory(part: Part) -> int:
    """The requests that stand at the top of its components' settings."""
    tree = settings.of_stack_file(LOCAL_STACK)
    sections = [dict(getattr(tree, component)) for component in COMPONENTS[part]]
    found = [each for section in sections for each in section.values() if isinstance(each, Resources)]
    return sum(int(each.memory[:-2]) * _UNITS[each.memory[-2:]] for each in found)


def needs(parts: Collection[Part]) -> Needs:
    """What must be free before anything is started."""
    more = [cost for cost in costs() if cost.part in parts]
    return Needs(
        memory=CORE_NEEDS.memory + sum(cost.memory for cost in more),
        disk=CORE_NEEDS.disk + sum(cost.megabytes for cost in more) * 1_000_000,
    )
