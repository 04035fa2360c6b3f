"""Secrets that are generated on first creation and then kept by the engine.

The program makes a new random value in every run; `ignore_changes` makes the engine take what the stack's
state has, once it has something. The values are secret to the engine, so its state holds them encrypted.
A key that is added later to a Secret that exists is ignored for the same reason: give it a Secret of its own.
"""

import base64
import secrets
from collections.abc import Mapping
from typing import Any

import pulumi

from infra.kube import Object

_BYTES = 24


class StoredSecret(Object):
    """A Secret whose entries can be handed on."""

    def value(self, key: str) -> pulumi.Output[str]:
        """One entry, decoded; secret to the engine wherever it goes."""
        return self.output("data").apply(lambda data: base64.b64decode(data[key]).decode())


class GeneratedSecret(StoredSecret):
    """A Secret with fixed entries (a user's name) and random ones (its password)."""

    def __init__(
        self,
        metadata: Mapping[str, Any],
        *,
        random: tuple[str, ...],
        fixed: Mapping[str, str] | None = None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        values = dict(fixed or {}) | {key: secrets.token_urlsafe(_BYTES) for key in random}
        super().__init__(_manifest(metadata, values), _kept(opts))


class ExistingSecret(StoredSecret):
    """A Secret that somebody else made; it is read and never changed."""

    def __init__(
        self, name: str, namespace: str, opts: pulumi.ResourceOptions, made_by: Object | None = None
    ) -> None:
        """`made_by`: what it comes from; a preview in which that is still to come reads nothing."""
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": name, "namespace": namespace},
            "data": None,
        }
        known = f"{namespace}/{name}"
        found = pulumi.ResourceOptions(
            id=known if made_by is None else made_by.output("metadata").apply(lambda _: known)
        )
        super().__init__(manifest, pulumi.ResourceOptions.merge(_secret_outputs(opts), found))


class ComposedSecret(Object):
    """A Secret made of other resources' outputs; it follows them."""

    def __init__(
        self,
        metadata: Mapping[str, Any],
        values: Mapping[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions,
    ) -> None:
        data = {
            key: pulumi.Output.secret(value).apply(lambda text: base64.b64encode(text.encode()).decode())
            for key, value in values.items()
        }
        manifest = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "Opaque",
            "metadata": metadata,
            "data": data,
        }
        super().__init__(manifest, _secret_outputs(opts))


def _manifest(metadata: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    data = {
        key: pulumi.Output.secret(base64.b64encode(value.encode()).decode()) for key, value in values.items()
    }
    return {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": metadata, "data": data}


def _secret_outputs(opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(additional_secret_outputs=["data"]))


def _kept(opts: pulumi.ResourceOptions) -> pulumi.ResourceOptions:
    return pulumi.ResourceOptions.merge(
        _secret_outputs(opts), pulumi.ResourceOptions(ignore_changes=["data"])
    )
