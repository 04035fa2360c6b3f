"""Traffic that is divided: by weight, by variant, and by what earns most."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

import client
import workloads
from client import Platform, models, outputs, pods, registry, rollouts, traffic
from proofs import booking, probe
from proofs import models as known_models
from proofs import rollouts as probes
from proofs.rollouts import FIRST, LATE, NAME, SECOND
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part
from workloads.generate_load import bookings
from workloads.steer_traffic import config

BANDIT, MODEL = "steer-traffic", known_models.NAME
"""The Deployment of the bandit, and the model that the proofs' booking service asks."""
SHARES = ({"first": 900, "second": 100}, {"first": 300, "second": 700})
MANY = 1000
NEAR = 0.01
"""By how much an observed share may differ from the asked one."""
MOST = 1500
"""Requests within which the bandit must have found the better version."""
BATCH = 25
SEED = 13


@proof("experiments")
def the_gateway_splits_as_asked(platform: Platform, check: Check) -> None:
    """Of 1,000 requests each version answers the share that its weight asks for, within one in a hundred."""
    require_part(platform, check)
    with probes.served(platform, FIRST, SECOND) as (first, second):
        for asked in SHARES:
            weights = {first: asked["first"], second: asked["second"]}
            probes.set_weights(platform, weights)
            probes.until_answered_by(platform, {first, second})
            seen = probes.counted(platform, MANY)
            for version, weight in weights.items():
                share, wanted = seen.get(version, 0) / MANY, weight / traffic.TOTAL
                check(
                    abs(share - wanted) <= NEAR,
                    f"version {version} answers {wanted:.0%} of the requests",
                    seen=seen,
                )


@proof("experiments")
def a_variant_always_meets_its_version(platform: Platform, check: Check) -> None:
    """Requests that name a variant all go to its version; those that name none, or an unknown one, go by
    weight.
    """
    require_part(platform, check)
    with probes.served(platform, FIRST, SECOND) as (first, second):
        rollouts.divide(platform, NAME, {"stable": first, "canary": second})
        header = traffic.VARIANT_HEADER
        probes.until_answered_by(platform, {second}, **{header: "canary"})
        for variant, version in (("stable", first), ("canary", second)):
            seen = probes.counted(platform, 200, **{header: variant})
            check.equal(seen, {version: 200}, f"variant {variant} always meets the same version")
        check.equal(probes.counted(platform, 200), {first: 200}, "a request without a variant goes by weight")
        seen = probes.counted(platform, 200, **{header: "no-such"})
        check.equal(seen, {first: 200}, "so does one of an unknown variant")


@proof("experiments")
def a_bandit_that_is_fed_nothing_holds(platform: Platform, check: Check) -> None:
    """While no outcome is known the bandit leaves the weights, and says why."""
    require_part(platform, check)
    with probes.served(platform, FIRST, SECOND) as (first, second):
        weights = {first: 700, second: 300}
        probes.set_weights(platform, weights)
        with bandit(platform, NAME):
            said = f"holds the weights: no outcome of versions {', '.join(sorted((first, second)))} is known"
            _until(lambda: said in _log(platform), 120)
            check(
                said in _log(platform),
                "it says that it holds the weights, and why",
                log=_log(platform)[-600:],
            )
            before = {pod.metadata.uid for pod in _pods(platform)}
            _kill(platform)
            _until(
                lambda: not before & {pod.metadata.uid for pod in _pods(platform)} and said in _log(platform),
                120,
            )
            check(said in _log(platform), "so does one that is made anew")
            check.equal(traffic.require(platform, NAME).weights, weights, "the weights are as they were")
            note = traffic.require(platform, NAME).note(traffic.STEERED) or {}
            check.equal(note.get("moves"), 0, "it has not moved them")


@proof("experiments")
def the_bandit_finds_the_better_version(platform: Platform, check: Check) -> None:
    """Of two versions behind the booking service one calls every flight late. Within 1,500 requests with real
    outcomes the other gets at least 90 % of the traffic, though the bandit is killed on the way, and each
    outcome has counted once.
    """
    require_part(platform, check)
    service = booking.booked(platform)
    stable = service.model.found.version
    with beside(platform, stable) as wrong, bandit(platform, MODEL):
        route = traffic.require(platform, MODEL)
        check.equal(set(route.weights), {stable, wrong}, "both versions have traffic")
        _until(lambda: traffic.require(platform, MODEL).note(traffic.STEERED) is not None, 120)
        killed, sent = 0, 0
        for batch in _batches():
            _book(service.http, batch)
            sent += len(batch)
            share = traffic.require(platform, MODEL).shares.get(stable, 0.0)
            if share >= 0.6 and not killed:
                killed = _kill(platform)
                _until(lambda: bool(_pods(platform)), 60)
            if share >= 0.9 and killed:
                break
        route = traffic.require(platform, MODEL)
        check(
            route.shares.get(stable, 0.0) >= 0.9,
            f"within {MOST} requests the better version gets 90 %",
            weights=route.weights,
            sent=sent,
        )
        check.equal(killed, 1, "the bandit was killed on the way")
        check(_settles(platform), "each outcome has counted once", counts=_counts(platform))


@contextmanager
def beside(platform: Platform, stable: str) -> Iterator[str]:
    """A version that calls every flight late, with half of the traffic; then the other has all again."""
    number = probes.registered(platform, LATE)
    while number in {each.version for each in models.served(platform, MODEL)}:
        # Its number is that of a version which is served: the next one is free.
        number = probes.log(platform, LATE, {})
    found = registry.resolve(platform, NAME, number)
    models.serve(platform, found, name=MODEL, image=known_models.image(platform), size=known_models.SIZE)
    try:
        probes.set_weights(platform, {stable: 500, number: 500}, MODEL)
        yield number
    finally:
        probes.set_weights(platform, {stable: traffic.TOTAL}, MODEL)
        traffic.change(platform, MODEL, lambda route: route.noted(traffic.STEERED, None))
        models.withdraw(platform, MODEL, number)


# --- the bandit ---------------------------------------------------------------------------------------------


@contextmanager
def bandit(platform: Platform, model: str) -> Iterator[None]:
    """Steers the model meanwhile, by few outcomes."""
    objects = workloads.manifest(
        "steer_traffic", probe.workload_image(platform), config="tiny", arguments=["--set", f"model={model}"]
    )
    client.delete_workloads(platform, BANDIT)
    client.deploy(platform, BANDIT, objects)
    try:
        yield
    finally:
        client.delete_workloads(platform, BANDIT)


def _pods(platform: Platform) -> list[Any]:
    selector = f"app.kubernetes.io/name={BANDIT}"
    found = platform.core.list_namespaced_pod(outputs.NAMESPACE_WORKLOADS, label_selector=selector).items
    return [pod for pod in found if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]


def _log(platform: Platform) -> str:
    return "".join(pods.log(platform, pod) for pod in _pods(platform))


def _kill(platform: Platform) -> int:
    """Take the bandit's pod away at once; 1 when it was there."""
    there = _pods(platform)
    for pod in there:
        platform.core.delete_namespaced_pod(
            pod.metadata.name, outputs.NAMESPACE_WORKLOADS, grace_period_seconds=0
        )
    return min(len(there), 1)


COUNTED = """
SELECT count(*) FROM scored WHERE model = %s AND experiment IS NULL AND at >= %s AND version = ANY(%s)
"""


def _counts(platform: Platform) -> tuple[int, int]:
    """Outcomes that the bandit's last move was made of, and that the log has."""
    note = traffic.require(platform, MODEL).note(traffic.STEERED) or {}
    with platform.bookings() as database:
        (logged,) = database.execute(COUNTED, [MODEL, note["since"], note["arms"]]).fetchone()
    return sum(note["known"].values()), logged


def _settles(platform: Platform) -> bool:
    """Whether the bandit comes to have counted all outcomes but those that are too few for a move."""
    too_few = config.tiny().batch
    _until(lambda: 0 <= _counts(platform)[1] - _counts(platform)[0] < too_few, 60)
    counted, logged = _counts(platform)
    return 0 <= logged - counted < too_few


# --- bookings -----------------------------------------------------------------------------------------------


def _batches() -> Iterator[list[bookings.Booking]]:
    booked = bookings.sample(MOST, SEED)
    for start in range(0, MOST, BATCH):
        yield booked[start : start + BATCH]


def _book(service: httpx.Client, batch: list[bookings.Booking]) -> None:
    """Ask for quotes, and tell at once how each flight arrived.

    Raises:
        LookupError: a request was refused.
    """
    outcomes = []
    for each in batch:
        answer = service.post(
            "/v1/quotes", json=each.question, headers={"x-request-id": f"probe-{uuid.uuid4()}"}
        )
        if answer.status_code != 200:
            raise LookupError(f"a quote was answered {answer.status_code}: {answer.text[:300]}")
        told = {"outcome": int(each.late), "source": "proof"}
        outcomes.append({"request_id": answer.json()["request_id"], **told})
    answer = service.post("/v1/outcomes", json=outcomes)
    if answer.status_code != 200:
        raise LookupError(f"outcomes were answered {answer.status_code}: {answer.text[:300]}")


def _until(holds: Any, patience: float) -> None:
    """Wait for it, as long as that; whoever waits looks again."""
    deadline = time.monotonic() + patience
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.5)
