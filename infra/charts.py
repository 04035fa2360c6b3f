"""Upstream manifests and charts as Pulumi resources: found, checked, patched and registered one by one.

They are looked for in `$SEATRIAL_CHARTS`, then in Go's module cache, then at the upstream's address; in each
case the SHA-256 must be the one in `releases.toml`. Charts are rendered by `infra.helm`.
"""

import hashlib
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pulumi

from infra import helm, upstream
from infra.errors import ReleaseError
from infra.kube import Object
from infra.patching import Patch
from infra.releases import Manifests, Release
from infra.upstream import Manifest

_HOOK = "helm.sh/hook"
_WAIT = "pulumi.com/waitFor"


def render(
    name: str,
    release: Release,
    patches: Iterable[Patch] = (),
    *,
    values: Mapping[str, Any] | None = None,
    namespace: str = "default",
) -> list[Manifest]:
    """The objects of a release in the upstream's order, patched, each kind of trap dealt with.

    `values` and `namespace` are for charts; manifests are moved by a patch.

    Raises:
        ReleaseError: the release has neither manifests nor a chart, they cannot be had, or they are not as
            expected.
    """
    if release.chart is not None:
        objects = helm.objects(name, release, release.chart, values or {}, namespace)
    elif release.manifests is not None:
        objects = _manifests(name, release, release.manifests)
    else:
        raise ReleaseError(f"infra/releases.toml [{name}] has neither manifests nor a chart")
    for patch in patches:
        objects = patch(objects)
    _refuse_hooks(name, objects)
    return [_awaited(each) for each in objects]


def register(objects: Iterable[Mapping[str, Any]], opts: pulumi.ResourceOptions) -> list[Object]:
    """Each object as a resource of its own."""
    return [Object(each, opts) for each in objects]


def _manifests(name: str, release: Release, manifests: Manifests) -> list[Manifest]:
    return [
        each
        for file, sha256 in manifests.files.items()
        for each in _read(_find(name, release, manifests, file), sha256, f"{name}: {file}")
    ]


def _find(name: str, release: Release, manifests: Manifests, file: str) -> Path:
    kept = upstream.folder() / f"{name}-{release.version}" / file
    for candidate in (kept, upstream.module_folder(manifests.module, release.version) / file):
        if candidate.is_file():
            return candidate
    address = manifests.address.format(version=release.version, file=file)
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:
            content = answer.read()
    except OSError as error:
        raise ReleaseError(
            f"{name} {release.version}: {file} is neither in {kept.parent} nor in Go's module cache, "
            f"and {address} cannot be reached ({error})\n"
            "  what to do: `seatrial up` puts it there for the local stack; else set SEATRIAL_CHARTS"
        ) from None
    upstream.write(kept, content)
    return kept


def _read(file: Path, sha256: str, what: str) -> list[Manifest]:
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ReleaseError(
            f"{what} has SHA-256 {found}, infra/releases.toml expects {sha256}\n"
            f"  what to do: delete {file}, or write the new sum where the version was changed on purpose"
        )
    return upstream.objects(sha256, lambda: content)


def _refuse_hooks(name: str, objects: Iterable[Manifest]) -> None:
    """Helm runs a hook at a certain moment, Pulumi never: what happens instead must be decided."""
    for each in objects:
        if hook := each["metadata"].get("annotations", {}).get(_HOOK):
            raise ReleaseError(
                f"{name}: {each['kind']} {each['metadata']['name']} is a Helm hook ({hook}), which Pulumi "
                "does not run\n  what to do: drop it or make it an ordinary object in patches.py"
            )


def _awaited(manifest: Manifest) -> Manifest:
    """A CustomResourceDefinition counts as made when the API server serves it."""
    if manifest["kind"] == "CustomResourceDefinition":
        manifest["metadata"].setdefault("annotations", {})[_WAIT] = "condition=Established"
    return manifest
