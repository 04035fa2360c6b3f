"""What a person may choose about the object store."""

from typing import Literal, Self

from pydantic import Field, model_validator

from infra.settings_base import Resources, Settings


class SecretReference(Settings):
    """A Secret that exists already, with the entries `access-key` and `secret-key`."""

    namespace: str
    name: str


class ExternalStore(Settings):
    """An S3 that somebody else runs: the cloud's, or a company's own. The buckets must exist."""

    endpoint: str = Field(pattern=r"^https?://[^/]+$")
    """For example `https://s3.eu-central-1.amazonaws.com`."""
    credentials: SecretReference
    bucket_prefix: str = Field(default="", pattern=r"^[a-z0-9-]*$")
    """Put before each bucket's name, for stores whose names are shared with the whole world."""


class ObjectStoreSettings(Settings):
    kind: Literal["versitygw", "external"] = "versitygw"
    """`versitygw` serves one volume of this cluster; it is not a distributed store."""
    region: str = "us-east-1"
    volume: str = "100Gi"
    """Size of the volume that versitygw serves."""
    resources: Resources = Resources(cpu="50m", memory="256Mi")
    external: ExternalStore | None = None
    """Needed by, and only by, the kind `external`."""

    @model_validator(mode="after")
    def _external_fits_kind(self) -> Self:
        if (self.kind == "external") != (self.external is not None):
            raise ValueError("`external` is needed by kind: external and by no other kind")
        return self
