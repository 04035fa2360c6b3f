"""What differs from the upstream's bundle of the Prometheus Operator, and why. The same in every stack."""

from infra.patching import Patch, container, expect, repository
from infra.upstream import Manifest

UNUSED = ("prometheusagents", "scrapeconfigs", "thanosrulers")
"""Kinds that the platform has no object of; the operator asks whether they are there and does without."""


def leave_out_unused_kinds(objects: list[Manifest]) -> list[Manifest]:
    """Every definition is carried through the engine and its state in each run; these are 1.1 of 2.4 MB."""
    names = {f"{kind}.monitoring.coreos.com" for kind in UNUSED}
    kept = [each for each in objects if each["metadata"]["name"] not in names]
    expect(len(objects) - len(kept) == len(UNUSED), f"definitions of {', '.join(UNUSED)}")
    return kept


def reload_with(image: str) -> Patch:
    """The operator puts this image beside each Prometheus; it is named in an argument, not as an image."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        option = "--prometheus-config-reloader="
        arguments = container(objects)["args"]
        where = [i for i, argument in enumerate(arguments) if argument.startswith(option)]
        expect(len(where) == 1, f"the argument {option}")
        expect(repository(arguments[where[0]].removeprefix(option)) == repository(image), f"image {image}")
        arguments[where[0]] = f"{option}{image}"
        return objects

    return patch
