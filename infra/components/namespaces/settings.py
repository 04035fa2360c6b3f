"""What a person may choose about namespaces."""

from typing import Literal

from pydantic import Field

from infra.settings_base import Settings


class Quota(Settings):
    """The most that all pods of a namespace may request together."""

    cpu: str
    memory: str
    pods: int = Field(ge=1)


class WorkloadsSettings(Settings):
    """The namespace of users' jobs."""

    quota: Quota = Quota(cpu="8", memory="16Gi", pods=50)


class NamespacesSettings(Settings):
    workloads: WorkloadsSettings = WorkloadsSettings()
    pod_security: Literal["restricted", "baseline"] = "restricted"
    """Enforced in every namespace."""
