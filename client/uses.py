"""What was made of a part's kinds: it must go before their controllers, which clean up after it."""

from collections.abc import Collection

from client.errors import ClientError
from client.objects import kinds, listing
from client.platform import Platform

GROUPS = {
    "serving": {"serving.kserve.io": "InferenceService"},
    "training": {"trainer.kubeflow.org": "TrainJob", "kubeflow.org": "MPIJob"},
}
"""By part the kinds of which people make objects that would not go away without it, by their API group."""


def require_unused(platform: Platform, parts: Collection[str]) -> None:
    """Refuse to take parts away of which something is used.

    Raises:
        ClientError: with the names of what uses them.
    """
    for part in parts:
        if names := uses(platform, part):
            raise ClientError(
                f"part '{part}' cannot be taken away while it is used: {', '.join(names)}",
                f"delete what uses it (kubectl delete {names[0]}), or keep the part: --with {part}",
            )


def uses(platform: Platform, part: str) -> list[str]:
    """What there is of the part's kinds, as `kind -n namespace name`, which is how kubectl takes it."""
    wanted = GROUPS.get(part, {})
    served = [
        kind for kind in kinds(platform.api) if wanted.get(kind.api_version.partition("/")[0]) == kind.kind
    ]
    return sorted(
        f"{kind.kind.lower()} -n {item['metadata']['namespace']} {item['metadata']['name']}"
        for kind in served
        for item in listing(platform.api, kind, "")
    )
