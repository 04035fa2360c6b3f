"""The provider's errors: what the engine shows to the person who ran it.

ProviderError            the operation was refused or did not work; nothing to keep
├── ApiError             the API server said no: status, reason and the fields that it names
├── Unreachable          there is no API server to talk to
├── Cancelled            the person gave up
└── NotReady             the object exists and is not (or no longer) as it should be: the state keeps it
"""

from collections.abc import Sequence
from typing import Any


class ProviderError(Exception):
    """Something that stops an operation on a resource."""


class Unreachable(ProviderError):
    """The API server cannot be reached."""


class Cancelled(ProviderError):
    """The operation was cancelled."""


class ApiError(ProviderError):
    """An answer of the API server other than success."""

    def __init__(self, code: int, body: dict[str, Any], what: str) -> None:
        self.code = code
        self.reason = str(body.get("reason") or "")
        self.message = str(body.get("message") or f"HTTP status {code}")
        details = body.get("details")
        self.details: dict[str, Any] = details if isinstance(details, dict) else {}
        super().__init__(f"{what}: {self._text()}")

    @property
    def causes(self) -> list[dict[str, Any]]:
        causes = self.details.get("causes")
        return causes if isinstance(causes, list) else []

    @property
    def not_found(self) -> bool:
        return self.code == 404

    @property
    def conflict(self) -> bool:
        """Other field managers own fields; the causes name them."""
        return self.code == 409 and self.reason == "Conflict" and bool(self.causes)

    @property
    def outdated(self) -> bool:
        """The object changed between reading and writing it."""
        return self.code == 409 and self.reason == "Conflict" and not self.causes

    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"

    @property
    def namespace_missing(self) -> bool:
        return self.not_found and self.details.get("kind") == "namespaces"

    def _text(self) -> str:
        fields = [
            f"  - {cause['field']}: {cause.get('message', '')}" for cause in self.causes if cause.get("field")
        ]
        # One field is in the message already; several make a list that can be read.
        return "\n".join([self.message, *fields]) if len(fields) > 1 else self.message


class NotReady(ProviderError):
    """The object exists; `live` is its last known form and `reasons` say what is wrong with it."""

    def __init__(
        self,
        what: str,
        live: dict[str, Any],
        reasons: Sequence[str] = (),
        inputs: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(what)
        self.live = live
        self.reasons = list(reasons)
        self.inputs = inputs
