"""Objects of any kind, by the API server's own list of kinds.

The Kubernetes client has a dynamic client for that; it keeps what it discovered in a file that outlives the
cluster, and fails as a whole while one aggregated API is away.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from kubernetes import client as k8s

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


@dataclass(frozen=True)
class Kind:
    """One kind of object that the API server serves."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool
    verbs: frozenset[str]

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        root = "/apis" if "/" in self.api_version else "/api"
        parts = [root, self.api_version]
        parts += ["namespaces", namespace] if self.namespaced and namespace else []
        return "/".join([*parts, self.plural, *([name] if name else [])])


def request(
    api: Any, method: str, path: str, *, accept: str = "application/json", body: Any = None, **query: str
) -> str:
    """One raw request; an answer that is not 2xx is an ApiException."""
    headers = {"Accept": accept}
    token = bearer(api)
    if token:
        headers["Authorization"] = token
    headers["Content-Type"] = "application/apply-patch+yaml" if method == "PATCH" else "application/json"
    url = api.configuration.host + path + (f"?{urlencode(query)}" if query else "")
    sent = json.dumps(body) if method == "PATCH" else body
    answer = api.call_api(method, url, header_params=headers, body=sent, _request_timeout=60)
    text: str = answer.read().decode()
    if not 200 <= answer.status < 300:
        failure = k8s.ApiException(status=answer.status, reason=answer.reason)
        failure.body = text
        raise failure
    return text


def bearer(api: Any) -> str | None:
    """The value of the Authorization header, where the kubeconfig has a token and not a certificate."""
    setting = api.configuration.auth_settings().get("BearerToken")
    return setting["value"] if setting else None


def kinds(api: Any) -> list[Kind]:
    """Every kind that is served now, each in the first version of its group that has it."""
    found: list[Kind] = []
    for root in ("/api", "/apis"):
        for group in json.loads(request(api, "GET", root, accept=AGGREGATED))["items"]:
            # The first version is the preferred one; a group whose server is away has none.
            known: set[str] = set()
            for version in group.get("versions", []):
                of_version = _kinds(group["metadata"].get("name", ""), version)
                new = [kind for kind in of_version if kind.kind not in known]
                known |= {kind.kind for kind in new}
                found += new
    return found


def served_kinds(api: Any) -> set[str]:
    """The names of the kinds that are served now."""
    return {entry.kind for entry in kinds(api)}


def _kinds(group: str, version: dict[str, Any]) -> Iterator[Kind]:
    for entry in version.get("resources", []):
        yield Kind(
            api_version=f"{group}/{version['version']}" if group else version["version"],
            kind=entry["responseKind"]["kind"],
            plural=entry["resource"],
            namespaced=entry["scope"] == "Namespaced",
            # Of what has figures and no objects (custom.metrics.k8s.io) there are none.
            verbs=frozenset(entry.get("verbs") or ()),
        )


def find_kind(served: list[Kind], item: dict[str, Any]) -> Kind | None:
    """The kind of a manifest; its version need not be the preferred one."""
    for entry in served:
        same_group = entry.api_version.rpartition("/")[0] == item["apiVersion"].rpartition("/")[0]
        if entry.kind == item["kind"] and same_group:
            return Kind(item["apiVersion"], entry.kind, entry.plural, entry.namespaced, entry.verbs)
    return None


def listing(api: Any, kind: Kind, selector: str) -> list[dict[str, Any]]:
    """The objects of a kind, in all namespaces, that a label selector picks."""
    try:
        items: list[dict[str, Any]] = json.loads(request(api, "GET", kind.path(), labelSelector=selector))[
            "items"
        ]
    except k8s.ApiException as error:
        if error.status in (404, 405, 503):
            return []  # The kind went meanwhile, cannot be listed, or its server is away.
        raise
    return items
