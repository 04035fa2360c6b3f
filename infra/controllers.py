"""Upstream controllers with admission webhooks: their patches, and the order in which they are registered."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi

from infra import charts, kube, pods
from infra.patching import container, deployment, expect
from infra.releases import Release
from infra.upstream import Manifest

UID = 65532
"""Whom the upstream images run as, but for the MPI Operator's, which runs as root."""
BEARER = {
    "scheme": "https",
    "bearerTokenFile": "/var/run/secrets/kubernetes.io/serviceaccount/token",
    # Such a controller signs the certificate of its metrics itself.
    "tlsConfig": {"insecureSkipVerify": True},
}
"""How Prometheus reads metrics of a controller that asks for a token."""

_SETTLED = 5
"""Seconds in which a Service's new endpoint has reached the proxies of all nodes."""
_PATIENCE = 5
"""Seconds that a probe waits for an answer."""


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A release and the image that it runs."""

    release: Release
    image: str


@dataclass(frozen=True)
class Controller:
    """What others wait for."""

    definitions: list[kube.Object]
    """The kinds, served."""
    ready: list[kube.Object]
    """The Deployment, available, and its Services, with a pod behind them."""


def register(
    objects: Sequence[kube.Manifest],
    opts: pulumi.ResourceOptions,
    secret: kube.Object | None = None,
    after: Sequence[kube.Object] = (),
) -> Controller:
    """Register kinds, then what the Deployment needs, then the Deployment.

    The webhook configurations come before it too: it counts as ready when it has written its authority
    into those that it finds. Services wait for pods, so nothing of this waits for them.
    """
    kinds = ("CustomResourceDefinition", "Deployment", "Service")
    definitions, deployments, services = (
        [each for each in objects if each["kind"] == kind] for kind in kinds
    )
    needed = charts.register([each for each in objects if each["kind"] not in kinds], opts)
    defined = charts.register(definitions, opts)
    needed += [*defined, *after, *([secret] if secret else [])]
    last = kube.after(opts, *needed)
    started = charts.register(deployments, last)
    return Controller(defined, [*started, *charts.register(services, opts)])


# --- patches ----------------------------------------------------------------------------------------------


def leave_out_the_empty_certificate(objects: list[Manifest]) -> list[Manifest]:
    """The charts bring a Secret that the controller fills when it runs; the program makes it filled.

    What is written to a Secret reaches a running pod at the kubelet's next look, a minute or more later, and
    until then the webhook, which is fail-closed, serves nothing.
    """
    kept = [each for each in objects if each["kind"] != "Secret"]
    expect(len(objects) - len(kept) == 1, "one Secret")
    return kept


def restrict(objects: list[Manifest]) -> list[Manifest]:
    """Pod Security level `restricted` wants all of this said, and the upstreams say some of it."""
    spec = deployment(objects)["spec"]["template"]["spec"]
    spec["securityContext"] = {**kube.RESTRICTED_POD, "runAsUser": UID, "runAsGroup": UID}
    container(objects)["securityContext"] = pods.READ_ONLY_CONTAINER
    return objects


def count_as_available_when_reachable(objects: list[Manifest]) -> list[Manifest]:
    """A webhook is asked through its Service, whose proxies hear of a ready pod a moment later.

    Who depends on the Deployment (runtimes, queues) would be refused in that moment.
    """
    deployment(objects)["spec"]["minReadySeconds"] = _SETTLED
    return objects


def give_probes_time(objects: list[Manifest]) -> list[Manifest]:
    """A webhook that is taken from its Service refuses everything; a second is short on a machine at work."""
    for probe in ("livenessProbe", "readinessProbe"):
        expect(probe in container(objects), f"a {probe}")
        container(objects)[probe]["timeoutSeconds"] = _PATIENCE
    return objects


def ask_soon(objects: list[Manifest]) -> list[Manifest]:
    """Upstream waits 30 seconds before it first asks whether a controller serves; it does after a few."""
    probe = container(objects)["readinessProbe"]
    expect(probe.get("initialDelaySeconds") == 30, "a readinessProbe that waits 30 seconds")
    probe["initialDelaySeconds"] = 2
    return objects
