"""What differs from the upstreams' charts and manifest, and why. The same in every stack."""

from infra import kube, pods
from infra.patching import Patch, container, deployment, expect
from infra.upstream import Manifest

UID = 65532
"""Whom the upstream images run as, but for the MPI Operator's, which runs as root."""

_SETTLED = 5
"""Seconds in which a Service's new endpoint has reached the proxies of all nodes."""
_PATIENCE = 5
"""Seconds that a probe waits for an answer."""


def leave_out_the_empty_certificate(objects: list[Manifest]) -> list[Manifest]:
    """The charts bring a Secret that the controller fills when it runs; the program makes it filled.

    What is written to a Secret reaches a running pod at the kubelet's next look, a minute or more later, and
    until then the webhook, which is fail-closed, serves nothing.
    """
    kept = [each for each in objects if each["kind"] != "Secret"]
    expect(len(objects) - len(kept) == 1, "one Secret")
    return kept


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


def restrict(objects: list[Manifest]) -> list[Manifest]:
    """Pod Security level `restricted` wants all of this said, and the upstreams say some of it."""
    spec = deployment(objects)["spec"]["template"]["spec"]
    spec["securityContext"] = {**kube.RESTRICTED_POD, "runAsUser": UID, "runAsGroup": UID}
    container(objects)["securityContext"] = pods.READ_ONLY_CONTAINER
    return objects


def count_as_available_when_reachable(objects: list[Manifest]) -> list[Manifest]:
    """A webhook is asked through its Service, whose proxies hear of a ready pod a moment later.

    Who depends on the Deployment (the runtimes) would be refused in that moment.
    """
    deployment(objects)["spec"]["minReadySeconds"] = _SETTLED
    return objects


def give_probes_time(objects: list[Manifest]) -> list[Manifest]:
    """A webhook that is taken from its Service refuses everything; a second is short on a machine at work."""
    for probe in ("livenessProbe", "readinessProbe"):
        expect(probe in container(objects), f"a {probe}")
        container(objects)[probe]["timeoutSeconds"] = _PATIENCE
    return objects


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
