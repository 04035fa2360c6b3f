"""The booking service that the proofs put on the platform: one of their own, that asks the proofs' model."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import httpx
from kubernetes import client as k8s

import client
import workloads
from client import Platform, deployments, gateway, outputs, traffic
from proofs import echo, models, probe

NAME = "probe-booking"
SELECTOR = f"app.kubernetes.io/name={NAME}"
OPERATOR = "workloads"
"""The tenant whose key workloads have, and that all requests of proofs are of where nothing is said. As an
operator it may do nothing new: who has its key has the log's password, too.
"""


@dataclass(frozen=True)
class Booked:
    """The service as those who ask it see it, through the Gateway."""

    http: httpx.Client
    model: models.Asked

    def quote(self, request_id: str, question: dict[str, Any]) -> httpx.Response:
        return self.http.post("/v1/quotes", json=question, headers={"x-request-id": request_id})


@lru_cache(maxsize=1)
def booked(platform: Platform) -> Booked:
    """The service and its model. What runs already in the right image is taken as it is."""
    asked = models.asked(platform)
    route(platform, asked.found.version)
    image = probe.workload_image(platform)
    objects = workloads.manifest(
        "booking_api",
        image,
        name=NAME,
        model=models.NAME,
        arguments=["--set", operated_by(OPERATOR)],
        **client.offers(platform),
    )
    if not runs(platform, workloads.image_of(image, "booking-api")):
        client.deploy(platform, NAME, objects, deadline=300)
    here = gateway.Gateway(platform, NAME)
    # It refuses an empty question.
    echo.answers(here, lambda: here.post("/v1/quotes", json={}), lambda status: status == 422)
    return Booked(here, asked)


def operated_by(*tenants: str) -> str:
    """The setting by which these are operators."""
    return f"operators={','.join(tenants)}"


def of_tenant(platform: Platform, tenant: str) -> Booked:
    """The service as another tenant sees it."""
    here = booked(platform)
    return replace(here, http=gateway.Gateway(platform, NAME, key=gateway.key_of(platform, tenant)))


def past_the_gateway(platform: Platform, tenant: str) -> httpx.Client:
    """The service as a pod reaches it that says that it is this tenant."""
    address = platform.address(outputs.NAMESPACE_WORKLOADS, NAME, 80)
    return httpx.Client(
        base_url=f"http://{address}", headers={"x-tenant": tenant}, timeout=30, trust_env=False
    )


def route(platform: Platform, version: str) -> None:
    """The model has a route that names this version: one that does is taken as it is."""
    wanted = traffic.new(models.NAME, version)
    there = traffic.read(platform, models.NAME)
    if there is None:
        there = traffic.create(platform, wanted)
    elif version not in there.weights:
        there = traffic.change(platform, models.NAME, lambda now: now.weighed(wanted.weights))
    traffic.in_force(platform, there)


def runs(platform: Platform, image: str) -> bool:
    """Whether the service runs in this image, all of its pods."""
    try:
        item = deployment(platform)
    except k8s.ApiException as error:
        if error.status != 404:
            raise
        return False
    return deployments.done(item) and item.spec.template.spec.containers[0].image == image


def deployment(platform: Platform) -> Any:
    return k8s.AppsV1Api(platform.api).read_namespaced_deployment(NAME, outputs.NAMESPACE_WORKLOADS)


def rows(platform: Platform, request_id: str) -> list[tuple[Any, ...]]:
    """What is logged of a request: id, score, version, decision, model."""
    with platform.bookings() as database:
        found: list[tuple[Any, ...]] = database.execute(
            "SELECT request_id, score, version, decision, model FROM predictions WHERE request_id = %s",
            [request_id],
        ).fetchall()
    return found


def forget(platform: Platform, user: str) -> None:
    """Take what a user was told out of the log; there is none before the first service has made it."""
    with platform.bookings() as database:
        if database.execute("SELECT to_regclass('predictions')").fetchone() != (None,):
            database.execute("DELETE FROM predictions WHERE user_key = %s", [user])


def nodes(platform: Platform, selector: str) -> dict[str, str]:
    """The node of each pod that a selector picks and that is not ending."""
    found = platform.core.list_namespaced_pod(outputs.NAMESPACE_WORKLOADS, label_selector=selector)
    return {
        pod.metadata.name: pod.spec.node_name or ""
        for pod in found.items
        if pod.metadata.deletion_timestamp is None
    }
