"""What was made of a part's kinds: it must go before their controllers, which clean up after it."""

from collections.abc import Collection

from client.errors import ClientError
from client.jobs import PARTS, group_kind
from client.objects import Kind, kinds, listing
from client.platform import Platform

GO_ALONE = {"HTTPRoute"}
"""Kinds of a part that need no controller to go away."""


def require_unused(platform: Platform, parts: Collection[str]) -> None:
    """Refuse to take parts away of which something is used.

    Raises:
        ClientError: with the names of what uses them.
    """
    made = {kind: part_of(kind) for kind in kinds(platform.api)}
    for part in parts:
        if names := uses(platform, [kind for kind in made if made[kind] == part]):
            raise ClientError(
                f"part '{part}' cannot be taken away while it is used: {', '.join(names)}",
                f"delete what uses it (kubectl delete {names[0]}), or keep the part: --with {part}",
            )


def part_of(kind: Kind) -> str | None:
    """The part without which objects of this kind would not go away."""
    return None if kind.kind in GO_ALONE else PARTS.get(group_kind(kind.api_version, kind.kind))


def uses(platform: Platform, made: Collection[Kind]) -> list[str]:
    """What there is of these kinds, as `kind -n namespace name`, which is how kubectl takes it."""
    return sorted(
        f"{kind.kind.lower()} -n {item['metadata']['namespace']} {item['metadata']['name']}"
        for kind in made
        for item in listing(platform.api, kind, "")
    )
