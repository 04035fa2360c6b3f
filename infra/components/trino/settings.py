"""What a person may choose about Trino."""

from pydantic import Field

from infra.settings_base import Resources, Settings


class TrinoNode(Settings):
    """One Trino process. The heap is named apart from the memory because the JVM needs room beside it."""

    heap_mib: int = Field(default=8192, ge=1024)
    """`-Xmx`. The JVM used up to 1.0 GiB beside it; `resources.memory` must leave that."""
    resources: Resources = Resources(cpu="500m", memory="10Gi")


class TrinoSettings(Settings):
    coordinator: TrinoNode = TrinoNode()
    workers: int = Field(default=0, ge=0)
    """Worker pods. With none the coordinator does the work as well."""
    worker: TrinoNode = TrinoNode()
    certificate: str | None = None
    """A Secret in Trino's namespace with `tls-combined.pem` (key and chain) and `ca.crt`, such as
    cert-manager makes with `additionalOutputFormats: CombinedPEM`. None: the program makes its own."""
