"""The application gets another version of its own, and its model stays as it is."""

import uuid

from kubernetes import client as k8s

from client import Platform, deployments, outputs
from proofs import booking
from proofs import rollouts as probes
from proofs.killed import lives
from proofs.repeated import repeated
from proofs.run import Check, proof
from proofs.subjects.serving_booking import MODEL_SELECTOR, flights, question
from proofs.subjects.serving_gateway import require_part
from workloads.generate_load.load import Running

REQUESTS = 10_000
RATE = 25.0
"""Quotes a second. Each asks the model through the Gateway as well, and two cores have new pods to start."""
FIRST = 500
"""Answers of the version that goes, before it does."""
USER = "probe-rollout"
ROLLED_OUT = "seatrial.dev/rolled-out"
"""Annotation of the service's pods; another value makes other pods."""


@proof("rollout")
def the_application_is_rolled_out_alone(platform: Platform, check: Check) -> None:
    """Other pods take the place of all of the booking service's while 10,000 quotes are asked for: each is
    answered 2xx, none is sent twice by anyone, and the model's pods are as they were.
    """
    require_part(platform, check)
    here = booking.booked(platform)
    questions = [question(row) | {"user": USER} for row in flights(platform, here).itertuples()]
    plan = probes.asking(platform, booking.NAME, "/v1/quotes", questions, requests=REQUESTS, rate=RATE)
    before, former = repeated(platform, booking.NAME), lives(platform, booking.SELECTOR)
    model = lives(platform, MODEL_SELECTOR)
    try:
        with Running(plan) as load:
            load.wait_for(FIRST, within=10 * FIRST / RATE)
            roll_out(platform)
            during = load.ended
            result = load.result()
    finally:
        booking.forget(platform, USER)
    now = lives(platform, booking.SELECTOR)
    check(bool(former) and not set(former) & set(now), "all its pods are others", former=former, now=now)
    check(during < REQUESTS, "it was asked all the time", during=during)
    check.equal(result.outcomes, {"200": REQUESTS}, f"each of {REQUESTS:,} quotes was answered 2xx, at once")
    check.equal(repeated(platform, booking.NAME) - before, 0, "the Gateway sent none of them again")
    check(bool(model), "the model has pods")
    check.equal(lives(platform, MODEL_SELECTOR), model, "the model's pods are as they were")


def roll_out(platform: Platform) -> None:
    """Other pods for the service; returns when they have taken the place of those before."""
    namespace = outputs.NAMESPACE_WORKLOADS
    another = {"metadata": {"annotations": {ROLLED_OUT: uuid.uuid4().hex}}}
    k8s.AppsV1Api(platform.api).patch_namespaced_deployment(
        booking.NAME, namespace, {"spec": {"template": another}}
    )
    deployments.follow(platform, namespace, booking.NAME, 300)
