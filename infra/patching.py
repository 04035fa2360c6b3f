"""Patches of upstream objects that more than one component applies."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from infra.errors import ReleaseError
from infra.settings_base import Resources
from infra.upstream import Manifest

Patch = Callable[[list[Manifest]], list[Manifest]]
"""Takes the upstream's objects, returns what to run; raises `ReleaseError` where nothing is to be changed."""


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


def leave_out_descriptions(objects: list[Manifest]) -> list[Manifest]:
    """Three quarters of most definitions is text that nothing but `kubectl explain` reads.

    Every definition is carried through the engine and its state in each run.
    """
    return [_undescribed(each) if each["kind"] == "CustomResourceDefinition" else each for each in objects]


def into_namespace(written_for: str, namespace: str) -> Patch:
    """Manifests name a namespace of the upstream's choice, where nothing of ours belongs."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        moved = 0
        for each in objects:
            for place in (each["metadata"], *each.get("subjects", ())):
                if place.get("namespace") == written_for:
                    place["namespace"] = namespace
                    moved += 1
        expect(moved > 0, f"objects in namespace {written_for}")
        return objects

    return patch


def with_resources(resources: Resources) -> Patch:
    """Sizes are settings here, and a CPU limit would slow a controller down on an idle machine."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        container(objects)["resources"] = resources.manifest()
        return objects

    return patch


def deployment(objects: list[Manifest]) -> Manifest:
    """The one Deployment among the objects."""
    found = [each for each in objects if each["kind"] == "Deployment"]
    expect(len(found) == 1, "one Deployment")
    return found[0]


def container(objects: list[Manifest]) -> dict[str, Any]:
    """The one container of the one Deployment."""
    found: list[dict[str, Any]] = deployment(objects)["spec"]["template"]["spec"]["containers"]
    expect(len(found) == 1, "one container")
    return found[0]


def expect(found: bool, what: str) -> None:
    """Raise `ReleaseError` where a patch finds nothing to change: a new version must be looked at."""
    if not found:
        raise ReleaseError(f"the upstream's objects no longer have what is patched: {what}")


def _containers(objects: list[Manifest]) -> Iterator[dict[str, Any]]:
    for each in objects:
        spec = each.get("spec") or {}
        pod = spec if each["kind"] == "Pod" else spec.get("template", {}).get("spec", {})
        for field in ("initContainers", "containers"):
            yield from pod.get(field, ()) if isinstance(pod, dict) else ()


def _undescribed(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _undescribed(value)
            for key, value in node.items()
            if key != "description" or not isinstance(value, str)
        }
    return [_undescribed(each) for each in node] if isinstance(node, list) else node
