"""What a fresh API server is told before it is of use: who may do what, and the add-ons."""

import base64
import datetime
import hashlib
import tomllib
from pathlib import Path
from string import Template
from typing import Any

import yaml

from local.cluster import pki
from local.cluster.api import Api, connect_with
from local.cluster.files import write
from local.cluster.layout import Layout
from local.paths import cache_dir

ADDONS = Path(__file__).with_name("addons")
_ORDER = ("coredns.yaml", "storage.yaml", "metrics.yaml")
_LIFE = datetime.timedelta(minutes=10)


def images() -> dict[str, str]:
    """Images that the add-ons need, and the recipe of each."""
    found: dict[str, str] = tomllib.loads((ADDONS / "images.toml").read_text())
    return found


def missing_images() -> list[str]:
    """Those that the registry's storage does not hold."""
    return [image for image in images() if not _is_stored(image)]


def _is_stored(image: str) -> bool:
    repository, tag = image.split("/", 1)[1].rsplit(":", 1)
    store = cache_dir() / "registry/docker/registry/v2/repositories"
    return (store / repository / "_manifests/tags" / tag / "current/link").exists()


def grant_access(layout: Layout, admin: Api) -> None:
    """Bind the administrators' group, with a certificate of minutes whose key is kept nowhere."""
    if admin.allowed("/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin"):
        return
    identity = pki.Identity("bootstrap", "ca", "seatrial-bootstrap", groups=("system:masters",))
    with connect_with(layout, pki.issue(layout.pki, identity, _LIFE)) as master:
        for manifest in _manifests("access.yaml", {}):
            master.apply(manifest)


def install_addons(layout: Layout, admin: Api) -> None:
    """Apply every add-on; what is already so stays as it is."""

    if addons_are_current(layout):
        return
    for manifest in _addons(layout):
        if address := manifest.get("spec", {}).get("clusterIP"):
            _give_back(address, manifest["metadata"], admin)
        admin.apply(manifest)
    write(_applied(layout), _fingerprint(layout))


def _give_back(address: str, service: dict[str, Any], admin: Api) -> None:
    """Free the address of a Service that is not there.

    It is taken before the Service is stored. Where a kill came in between, the API server would give it back
    by itself after minutes, and refuse the Service until then.
    """
    taken = admin.get(path := f"/apis/networking.k8s.io/v1/ipaddresses/{address}")
    place, name = service["namespace"], service["name"]
    if taken is None or admin.get(f"/api/v1/namespaces/{place}/services/{name}"):
        return
    if taken["spec"]["parentRef"] == {"resource": "services", "namespace": place, "name": name}:
        admin.delete(path)


def forget_pods(node: str, admin: Api) -> None:
    """Delete the add-ons' pods of a node whose containers are no more, so that new ones are made.

    What is stored of them is from before the machine stopped, when they were ready.
    """
    for namespace in ("kube-system", "local-path-storage"):
        admin.delete(
            f"/api/v1/namespaces/{namespace}/pods?fieldSelector=spec.nodeName={node}&gracePeriodSeconds=0"
        )


def addons_are_current(layout: Layout) -> bool:
    """Whether what was applied last is what would be applied now."""
    return _applied(layout).exists() and _applied(layout).read_text() == _fingerprint(layout)


def _applied(layout: Layout) -> Path:
    return layout.state / "addons.applied"


def _fingerprint(layout: Layout) -> str:
    return hashlib.sha256(repr(_addons(layout)).encode()).hexdigest()


def _addons(layout: Layout) -> list[dict[str, Any]]:
    def b64(file: str) -> str:
        return base64.b64encode((layout.pki / file).read_bytes()).decode()

    values = {
        "authority": b64("ca.crt"),
        "metrics_certificate": b64("metrics-server.crt"),
        "metrics_key": b64("metrics-server.key"),
    }
    return [manifest for file in _ORDER for manifest in _manifests(file, values)]


def _manifests(file: str, values: dict[str, str]) -> list[dict[str, Any]]:
    text = (ADDONS / file).read_text()
    if values:
        text = Template(text).safe_substitute(values)
    return list(yaml.load_all(text, Loader=yaml.CSafeLoader))
