"""What a look at an object tells: it is ready, it is on its way, or it will never be ready."""

from collections.abc import Callable
from dataclasses import dataclass

from local.provider.objects import Object


@dataclass(frozen=True, slots=True)
class Verdict:
    """`message` says what is being waited for, or what went wrong."""

    ready: bool
    message: str = ""
    failed: bool = False


READY = Verdict(True)


def waiting(message: str) -> Verdict:
    return Verdict(False, message)


def failed(message: str) -> Verdict:
    return Verdict(False, message, failed=True)


Check = Callable[[Object], Verdict]
"""Looks at one object; it keeps no state, so that a refresh can ask as well."""


def observed(obj: Object) -> bool:
    """Whether the object's controller has seen its latest change."""
    status = obj.get("status")
    seen = status.get("observedGeneration", 0) if isinstance(status, dict) else 0
    return int(seen) >= int(obj.get("metadata", {}).get("generation", 0))
