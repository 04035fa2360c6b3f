"""What differs from the upstreams' charts and manifest, and why. The same in every stack."""

from infra.patching import Patch, container, expect
from infra.upstream import Manifest

_PATIENCE = 5
"""Seconds that a probe waits for an answer."""


def leave_out_the_namespace(objects: list[Manifest]) -> list[Manifest]:
    """The platform's namespaces are made in one place, with their Pod Security level."""
    kept = [each for each in objects if each["kind"] != "Namespace"]
    expect(len(objects) - len(kept) == 1, "one Namespace")
    return kept


def leave_out_kubeflows_roles(objects: list[Manifest]) -> list[Manifest]:
    """They extend roles of Kubeflow's profiles, which are not here; rights.py extends Kubernetes' own."""
    kept = [each for each in objects if not each["metadata"]["name"].startswith("kubeflow-mpijobs-")]
    expect(len(objects) - len(kept) == 3, "three roles kubeflow-mpijobs-…")
    return kept


def serve_metrics(*arguments: str) -> Patch:
    """Both Trainer and the MPI Operator serve metrics only when they are told to."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        given = container(objects).setdefault("args", [])
        known = {each.partition("=")[0].lstrip("-") for each in given}
        expect(not known & {each.partition("=")[0].lstrip("-") for each in arguments}, "no metrics argument")
        given.extend(arguments)
        return objects

    return patch


def keep_its_lease_in(namespace: str) -> Patch:
    """The MPI Operator's lease is in the namespace that its manifest was written for."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        option = "--lock-namespace="
        arguments = container(objects)["args"]
        where = [i for i, argument in enumerate(arguments) if argument.startswith(option)]
        expect(len(where) == 1, f"the argument {option}")
        arguments[where[0]] = f"{option}{namespace}"
        return objects

    return patch


def ask_for_health(port: int) -> Patch:
    """The MPI Operator answers /healthz, and its manifest does not ask."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        found = container(objects)
        expect(not {"livenessProbe", "readinessProbe"} & set(found), "no probe")
        probe = {"httpGet": {"path": "/healthz", "port": port}}
        found["readinessProbe"] = {**probe, "periodSeconds": 5, "timeoutSeconds": _PATIENCE}
        found["livenessProbe"] = {**probe, "periodSeconds": 20, "timeoutSeconds": _PATIENCE}
        return objects

    return patch
