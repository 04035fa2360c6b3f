"""Upstream manifests as Pulumi resources: found, checked, read once, patched and registered one by one.

A file is looked for in `$SEATRIAL_CHARTS`, then in Go's module cache, then at the upstream's address; in each
case its SHA-256 must be the one in `releases.toml`. Reading YAML is slow, so what was read is kept as JSON
under that sum: the same input gives the same bytes.
"""

import hashlib
import json
import os
import urllib.request
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pulumi
import yaml

from infra.errors import ReleaseError
from infra.kube import Object
from infra.releases import Manifests, Release

Manifest = dict[str, Any]
Patch = Callable[[list[Manifest]], list[Manifest]]
"""Takes the upstream's objects, returns what to run; raises `ReleaseError` where nothing is to be changed."""

_READER = "1"
"""Counted up when reading changes, so that what an older version kept is not used."""

_HOOK = "helm.sh/hook"
_WAIT = "pulumi.com/waitFor"


def render(name: str, release: Release, patches: Iterable[Patch] = ()) -> list[Manifest]:
    """The objects of a release in the upstream's order, patched, each kind of trap dealt with.

    Raises:
        ReleaseError: the release has no manifests, they cannot be had, or they are not as expected.
    """
    if release.manifests is None:
        raise ReleaseError(f"infra/releases.toml [{name}] has no manifests")
    objects = [
        each
        for file, sha256 in release.manifests.files.items()
        for each in _read(_find(name, release, release.manifests, file), sha256, f"{name}: {file}")
    ]
    for patch in patches:
        objects = patch(objects)
    _refuse_hooks(name, objects)
    return [_awaited(each) for each in objects]


def register(objects: Iterable[Mapping[str, Any]], opts: pulumi.ResourceOptions) -> list[Object]:
    """Each object as a resource of its own."""
    return [Object(each, opts) for each in objects]


def use_images(wanted: Mapping[str, str]) -> Patch:
    """Replace each container's image by the wanted reference to the same image.

    `wanted`: image name without tag → reference. Any other image is an error: nobody would build it.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        for container in _containers(objects):
            name = repository(container["image"])
            if name not in wanted:
                raise ReleaseError(f"a manifest runs {container['image']}, which infra/releases.toml lacks")
            container["image"] = wanted[name]
        return objects

    return patch


def repository(image: str) -> str:
    """An image's name without tag and digest: `quay.io/a/b` of `quay.io/a/b:v1@sha256:…`."""
    name = image.partition("@")[0]
    path, _, last = name.rpartition("/")
    return f"{path}/{last.partition(':')[0]}" if path else last.partition(":")[0]


def _find(name: str, release: Release, manifests: Manifests, file: str) -> Path:
    kept = charts_folder() / f"{name}-{release.version}" / file
    for candidate in (kept, _module_folder(manifests.module, release.version) / file):
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
    _write(kept, content)
    return kept


def _read(file: Path, sha256: str, what: str) -> list[Manifest]:
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise ReleaseError(
            f"{what} has SHA-256 {found}, infra/releases.toml expects {sha256}\n"
            f"  what to do: delete {file}, or write the new sum where the version was changed on purpose"
        )
    kept = charts_folder() / "rendered" / f"{sha256}-{_READER}.json"
    if not kept.is_file():
        objects = [each for each in yaml.load_all(content, Loader=_Loader) if each]
        _write(kept, json.dumps(objects).encode())
    read: list[Manifest] = json.loads(kept.read_bytes())
    return read


class _Loader(yaml.CSafeLoader):
    """Reads `=` and dates as text, as Kubernetes does; PyYAML follows YAML 1.1 there."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":value", ":timestamp"))]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


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


def _containers(objects: Iterable[Manifest]) -> Iterator[dict[str, Any]]:
    for each in objects:
        spec = each.get("spec") or {}
        pod = spec if each["kind"] == "Pod" else spec.get("template", {}).get("spec", {})
        for field in ("initContainers", "containers"):
            yield from pod.get(field, ()) if isinstance(pod, dict) else ()


def charts_folder() -> Path:
    """Where upstream files are kept: `$SEATRIAL_CHARTS`, else in the cache."""
    if given := os.environ.get("SEATRIAL_CHARTS"):
        return Path(given)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "seatrial" / "charts"


def _module_folder(module: str, version: str) -> Path:
    """Where Go unpacks a module; it writes a capital letter as `!` and the small one."""
    cache = os.environ.get("GOMODCACHE")
    root = Path(cache) if cache else Path(os.environ.get("GOPATH") or Path.home() / "go") / "pkg" / "mod"
    escaped = "".join(f"!{letter.lower()}" if letter.isupper() else letter for letter in module)
    return root / f"{escaped}@v{version}"


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    unfinished.write_bytes(content)
    unfinished.replace(file)
