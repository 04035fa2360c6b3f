"""A model and a booking service of the proofs' own that autoscalers make more of, and fewer again."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kubernetes import client as k8s

import client
import workloads
from client import Platform, deployments, gateway, models, outputs, registry, scaling, traffic
from client.jobs import refusal
from client.waiting import until
from proofs import booking, echo, probe
from proofs import models as known_models
from proofs.booking import Booked
from proofs.subjects import training

MODEL, SERVICE = "probe-scaled", "probe-scaling"
"""What the two are called, on the Gateway too."""
USER = "probe-scaling"
EACH = 8.0
"""Requests a second that a pod is to get: so few that the rate asks for more pods, and not the processor."""
MOST_SERVERS, MOST_SERVICES = 2, 3
SOON = {
    "stabilizationWindowSeconds": 15,
    "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
}
"""How they become fewer: as usual, but without five minutes' wait."""
SERVERS = f"{models.COLOCATE_LABEL}={MODEL}"
SERVICES = f"app.kubernetes.io/name={SERVICE}"


@contextmanager
def scaled(platform: Platform) -> Iterator[Booked]:
    """The two, one pod of each; nothing of them is left afterwards."""
    remove(platform)
    try:
        yield serve(platform)
    finally:
        remove(platform)


def serve(platform: Platform) -> Booked:
    found = registry.resolve(platform, training.SETTINGS.model)
    image = probe.workload_image(platform)
    size = models.Size(memory=known_models.SIZE.memory, scaling=scaling.Scaling(MOST_SERVERS, EACH))
    models.serve(platform, found, name=MODEL, image=workloads.image_of(image, "model-server"), size=size)
    traffic.in_force(platform, traffic.create(platform, traffic.new(MODEL, found.version)))
    objects = workloads.manifest(
        "booking_api",
        image,
        name=SERVICE,
        model=MODEL,
        replicas=1,
        max_replicas=MOST_SERVICES,
        requests_per_second=EACH,
        **client.offers(platform),
    )
    client.deploy(platform, SERVICE, objects, deadline=300)
    for name in (SERVICE, models.service_name(MODEL, found.version)):
        k8s.AutoscalingV2Api(platform.api).patch_namespaced_horizontal_pod_autoscaler(
            name, outputs.NAMESPACE_WORKLOADS, {"spec": {"behavior": {"scaleDown": SOON}}}
        )
    here = gateway.Gateway(platform, SERVICE)
    echo.answers(here, lambda: here.post("/v1/quotes", json={}), lambda status: status == 422)
    return Booked(here, known_models.Asked(found, here))


def remove(platform: Platform) -> None:
    """Take both away, and what is logged of them."""
    client.delete_workloads(platform, SERVICE)
    client.delete_workloads(platform, MODEL)  # The route: nobody is sent to what goes next.
    for each in models.served(platform, MODEL):
        models.withdraw(platform, MODEL, each.version)
    booking.forget(platform, USER)


def figures(
    platform: Platform, metric: str, selector: str, fits: Callable[[dict[str, float]], bool], what: str
) -> dict[str, float]:
    """The metric of each pod that a selector picks, as soon as all of them have one and they fit.

    Raises:
        LookupError: nobody answers.
        ClientError: a pod has none, or they do not fit.
    """
    found: dict[str, float] = {}
    said = ""

    def fitting() -> bool:
        nonlocal found, said
        try:
            found = scaling.figures(platform, metric, selector)
        except k8s.ApiException as error:
            said = f"the metric {metric} cannot be read: {refusal(error)}"
            if error.status != 404:  # Which only says that no pod was seen yet.
                raise LookupError(said) from error
            return False
        said = f"it is {found}"
        return found.keys() == booking.nodes(platform, selector).keys() and fits(found)

    until(fitting, lambda: f"the metric {metric} of the pods with {selector} {what}; {said}")
    return found


def until_there_are(
    platform: Platform, version: str, fits: Callable[[int], bool], what: str, patience: float
) -> None:
    """Wait until as many model servers and services as fit are ready, and none is there besides.

    Raises:
        ClientError: they do not; with what the autoscalers say.
    """
    apps, namespace = k8s.AppsV1Api(platform.api), outputs.NAMESPACE_WORKLOADS

    def has(name: str, selector: str) -> bool:
        item = apps.read_namespaced_deployment(name, namespace)
        pods = platform.core.list_namespaced_pod(namespace, label_selector=selector).items
        return deployments.done(item) and fits(item.spec.replicas) and len(pods) == item.spec.replicas

    def holds() -> bool:
        return has(models.predictor(MODEL, version), SERVERS) and has(SERVICE, SERVICES)

    names = (models.service_name(MODEL, version), SERVICE)
    until(holds, lambda: f"{what}; {'; '.join(_says(platform, name) for name in names)}", patience)


def _says(platform: Platform, name: str) -> str:
    """What an autoscaler sees, and what holds it."""
    item = k8s.AutoscalingV2Api(platform.api).read_namespaced_horizontal_pod_autoscaler(
        name, outputs.NAMESPACE_WORKLOADS
    )
    now, most = item.status, item.spec.max_replicas
    seen = [each.pods.current.average_value for each in now.current_metrics or () if each.pods]
    told = [each.message for each in now.conditions or () if each.type in ("ScalingActive", "ScalingLimited")]
    return f"{name} has {now.current_replicas} pods of at most {most} at {seen or 'no'} requests/s: {told}"
