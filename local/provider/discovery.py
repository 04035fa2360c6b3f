"""Where the API server keeps a kind: asked for one group version at a time, and only when it is needed."""

import threading
from dataclasses import dataclass
from typing import Any, Final

from local.provider.errors import ApiError, ProviderError
from local.provider.http import Api
from local.provider.kinds import Kind
from local.provider.objects import Object, pluck, text

CLUSTER_SCOPED: Final = frozenset(
    {
        ("", "Namespace"),
        ("", "Node"),
        ("", "PersistentVolume"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "MutatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "MutatingWebhookConfiguration"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy"),
        ("admissionregistration.k8s.io", "ValidatingAdmissionPolicyBinding"),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
        ("apiregistration.k8s.io", "APIService"),
        ("authentication.k8s.io", "TokenReview"),
        ("certificates.k8s.io", "CertificateSigningRequest"),
        ("certificates.k8s.io", "ClusterTrustBundle"),
        ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
        ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
        ("networking.k8s.io", "IPAddress"),
        ("networking.k8s.io", "IngressClass"),
        ("networking.k8s.io", "ServiceCIDR"),
        ("node.k8s.io", "RuntimeClass"),
        ("policy", "PodSecurityPolicy"),
        ("rbac.authorization.k8s.io", "ClusterRole"),
        ("rbac.authorization.k8s.io", "ClusterRoleBinding"),
        ("resource.k8s.io", "DeviceClass"),
        ("resource.k8s.io", "ResourceSlice"),
        ("scheduling.k8s.io", "PriorityClass"),
        ("storage.k8s.io", "CSIDriver"),
        ("storage.k8s.io", "CSINode"),
        ("storage.k8s.io", "StorageClass"),
        ("storage.k8s.io", "VolumeAttachment"),
        ("storage.k8s.io", "VolumeAttributesClass"),
    }
)
"""What has no namespace, for previews that no API server helps with."""


class NoSuchKind(ProviderError):
    """The API server does not serve this kind (yet)."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(
            f"the API server serves no {kind}; is its CustomResourceDefinition there, and depended on?"
        )


@dataclass(frozen=True, slots=True)
class Place:
    """A kind's place in the API."""

    root: str
    plural: str
    namespaced: bool

    def collection(self, namespace: str) -> str:
        middle = f"/namespaces/{namespace or 'default'}" if self.namespaced else ""
        return f"{self.root}{middle}/{self.plural}"

    def object(self, namespace: str, name: str) -> str:
        return f"{self.collection(namespace)}/{name}"


class Discovery:
    """Kinds and their places; what the server lacked is asked for again, for a definition may be new."""

    def __init__(self, api: Api | None) -> None:
        self._api = api
        self._lock = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}
        self._known: dict[str, dict[str, Place]] = {}
        self._defined: dict[tuple[str, str], bool] = {}

    def place(self, kind: Kind) -> Place:
        with self._lock:
            lock = self._locks.setdefault(kind.api_version, threading.Lock())
        with lock:
            found = self._known.get(kind.api_version, {}).get(kind.kind)
            if found is None:
                self._known[kind.api_version] = self._ask(kind)
                found = self._known[kind.api_version].get(kind.kind)
        if found is None:
            raise NoSuchKind(kind)
        return found

    def _ask(self, kind: Kind) -> dict[str, Place]:
        if self._api is None:
            raise NoSuchKind(kind)
        root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.api_version}"
        try:
            answer = self._api.get(root)
        except ApiError as error:
            if error.code == 404:
                return {}
            raise
        return {
            entry["kind"]: Place(root, entry["name"], bool(entry["namespaced"]))
            for entry in answer.get("resources") or []
            if "/" not in entry["name"]
        }

    def exists(self, kind: Kind) -> bool:
        try:
            self.place(kind)
        except NoSuchKind:
            return False
        return True

    def namespaced(self, kind: Kind) -> bool:
        """Whether objects of the kind live in a namespace; without a server, tables must do."""
        known = (kind.group, kind.kind)
        if known in CLUSTER_SCOPED:
            return False
        if known in self._defined:
            return self._defined[known]
        if not kind.group or self._api is None:
            return True
        try:
            return self.place(kind).namespaced
        except NoSuchKind:
            return True  # nearly all are; creating the object puts a wrong guess right

    def learn(self, definition: Object) -> None:
        """Remember the scope of a CustomResourceDefinition that the program is going to create."""
        group, kind = (
            text(pluck(definition, "spec", "group")),
            text(pluck(definition, "spec", "names", "kind")),
        )
        scope: Any = pluck(definition, "spec", "scope")
        if group and kind and isinstance(scope, str):
            self._defined[group, kind] = scope == "Namespaced"
