"""Which Kubernetes kind a resource stands for, read from its URN, and which resource types are refused."""

from dataclasses import dataclass
from typing import Final

from local.provider.errors import ProviderError

_ONLY_VENDOR: Final = (
    ("helm.sh/", "Helm charts and releases"),
    ("yaml", "the YAML components (ConfigFile, ConfigGroup)"),
    ("kustomize", "the Kustomize components (Directory)"),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """Group, version and kind; the core group is the empty string."""

    group: str
    version: str
    kind: str

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def __str__(self) -> str:
        return f"{self.api_version} {self.kind}"

    @classmethod
    def of(cls, api_version: str, kind: str) -> "Kind":
        group, _, version = api_version.rpartition("/")
        return cls("" if group == "core" else group, version, kind)


@dataclass(frozen=True, slots=True)
class Resource:
    """What a URN says: the resource's name in the program, its kind and whether it only patches an object."""

    urn: str
    name: str
    kind: Kind
    patch: bool


def parse_urn(urn: str) -> Resource:
    """The resource that `urn` names; a type that this provider does not have is refused."""
    _, _, types, name = urn.split("::", 3)
    token = types.rpartition("$")[2]
    _, module, type_name = token.split(":", 2)
    for prefix, what in _ONLY_VENDOR:
        if module.startswith(prefix):
            raise ProviderError(only_vendor(what, token))
    group, _, version = module.rpartition("/")
    kind = type_name.removesuffix("Patch")
    patch = kind != type_name and kind != ""
    return Resource(
        urn, name, Kind("" if group == "core" else group, version, kind if patch else type_name), patch
    )


def only_vendor(what: str, token: str) -> str:
    return (
        f"{token}: {what} need the vendor's plugin (pulumi plugin install resource kubernetes 4.34.2);"
        " this stand-in manages plain objects. Render charts and manifests first and register each object"
    )


def is_list(resource: Resource) -> bool:
    """`ConfigMapList` and the like exist for manifests' sake and cannot be created."""
    return resource.kind.kind.endswith("List") and "." not in resource.kind.group.replace(".k8s.io", "")
