"""What differs from the upstream's bundle of the Prometheus Operator, and why. The same in every stack."""

from typing import Any

from infra.charts import Manifest, Patch, repository
from infra.errors import ReleaseError
from infra.settings_base import Resources

UNUSED = ("prometheusagents", "scrapeconfigs", "thanosrulers")
"""Kinds that the platform has no object of; the operator asks whether they are there and does without."""


def leave_out_unused_kinds(objects: list[Manifest]) -> list[Manifest]:
    """Every definition is carried through the engine and its state in each run; these are 1.1 of 2.4 MB."""
    names = {f"{kind}.monitoring.coreos.com" for kind in UNUSED}
    kept = [each for each in objects if each["metadata"]["name"] not in names]
    _expect(len(objects) - len(kept) == len(UNUSED), f"definitions of {', '.join(UNUSED)}")
    return kept


def leave_out_descriptions(objects: list[Manifest]) -> list[Manifest]:
    """Three quarters of what remains is text that nothing but `kubectl explain` reads."""
    return [_undescribed(each) if each["kind"] == "CustomResourceDefinition" else each for each in objects]


def into_namespace(namespace: str) -> Patch:
    """The bundle is written for `default`, where nothing of ours belongs."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        moved = 0
        for each in objects:
            for place in (each["metadata"], *each.get("subjects", ())):
                if place.get("namespace") == "default":
                    place["namespace"] = namespace
                    moved += 1
        _expect(moved > 0, "objects in namespace default")
        return objects

    return patch


def reload_with(image: str) -> Patch:
    """The operator puts this image beside each Prometheus; it is named in an argument, not as an image."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        option = "--prometheus-config-reloader="
        arguments = _operator(objects)["args"]
        where = [i for i, argument in enumerate(arguments) if argument.startswith(option)]
        _expect(len(where) == 1, f"the argument {option}")
        _expect(repository(arguments[where[0]].removeprefix(option)) == repository(image), f"image {image}")
        arguments[where[0]] = f"{option}{image}"
        return objects

    return patch


def with_resources(resources: Resources) -> Patch:
    """Sizes are settings here, and a CPU limit would slow the operator down on an idle machine."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        _operator(objects)["resources"] = resources.manifest()
        return objects

    return patch


def _operator(objects: list[Manifest]) -> dict[str, Any]:
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    _expect(len(deployments) == 1, "one Deployment")
    container: dict[str, Any] = deployments[0]["spec"]["template"]["spec"]["containers"][0]
    return container


def _undescribed(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            key: _undescribed(value)
            for key, value in node.items()
            if key != "description" or not isinstance(value, str)
        }
    return [_undescribed(each) for each in node] if isinstance(node, list) else node


def _expect(found: bool, what: str) -> None:
    if not found:
        raise ReleaseError(f"the Prometheus Operator's bundle no longer has what is patched: {what}")
