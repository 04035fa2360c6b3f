"""The few calls to the cluster's API that bringing it up needs, without a heavy client."""

import json
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from local.cluster.layout import Layout

MANAGER = "seatrial-cluster"
Object = dict[str, Any]


class Api:
    """A client of one cluster with one identity."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}

    def get(self, path: str) -> Object | None:
        """The object, or nothing where there is none."""
        answer = self._client.get(path)
        if answer.status_code == httpx.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        found: Object = answer.json()
        return found

    def ready(self) -> bool:
        """Whether the API server serves this identity."""
        try:
            return self._client.get("/readyz").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def allowed(self, path: str) -> bool:
        return self._client.get(path).status_code != httpx.codes.FORBIDDEN

    def apply(self, manifest: Object) -> Object:
        """Server-side apply: creates, or changes what we manage."""
        answer = self._client.patch(
            self._path(manifest),
            params={"fieldManager": MANAGER, "force": "true"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(manifest),
        )
        if answer.is_error:
            raise httpx.HTTPStatusError(answer.text, request=answer.request, response=answer)
        applied: Object = answer.json()
        return applied

    def delete(self, path: str) -> None:
        """What is gone already is fine."""
        answer = self._client.delete(path)
        if answer.status_code != httpx.codes.NOT_FOUND:
            answer.raise_for_status()

    def _path(self, manifest: Object) -> str:
        version, kind, meta = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
        base = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if base not in self._plurals:
            found = self.get(base) or {"resources": []}
            self._plurals[base] = {
                r["kind"]: (r["name"], r["namespaced"]) for r in found["resources"] if "/" not in r["name"]
            }
        plural, namespaced = self._plurals[base][kind]
        place = f"/namespaces/{meta.get('namespace', 'default')}" if namespaced else ""
        return f"{base}{place}/{plural}/{meta['name']}"


@contextmanager
def connect(layout: Layout, certificate: Path, key: Path) -> Iterator[Api]:
    """A client that trusts the cluster's authority alone."""
    trust = ssl.create_default_context(cafile=str(layout.pki / "ca.crt"))
    trust.load_cert_chain(certificate, key)
    with httpx.Client(base_url=layout.api, verify=trust, timeout=10, trust_env=False) as client:
        yield Api(client)


@contextmanager
def connect_with(layout: Layout, pair: tuple[bytes, bytes]) -> Iterator[Api]:
    """As `connect`, with a key that touches the disk for a moment only (the TLS library reads files)."""
    with tempfile.TemporaryDirectory(dir=layout.pki) as folder:
        key, certificate = Path(folder) / "key", Path(folder) / "crt"
        key.touch(0o600)
        certificate.touch(0o600)
        key.write_bytes(pair[0])
        certificate.write_bytes(pair[1])
        with connect(layout, certificate, key) as api:
            yield api
