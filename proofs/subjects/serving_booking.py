"""The application that uses a served model: its quotes, their log, and the node that it shares with it."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from kubernetes import client as k8s

from client import Platform, deployments, outputs
from client import models as served
from client.waiting import until
from proofs import booking, models
from proofs.booking import Booked, booked, nodes, rows
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part
from proofs.subjects.training import trained
from workloads.booking_api.flights import WEATHER

ASKED = 5
"""Flights that quotes are asked for."""
MODEL_SELECTOR = f"seatrial.dev/colocate={models.NAME}"
NOWHERE = {"carrier": "ZZ", "origin": "EWR", "dest": "IAH"}
"""There is no such airline."""


def flights(platform: Platform, here: Booked) -> pd.DataFrame:
    """Flights of the test month whose weather was observed, each of a route with one distance."""
    found = models.flights(platform, here.model.found).dropna(subset=list(WEATHER))
    return found[found["dest"] != "EGE"].head(ASKED)


def question(row: Any) -> dict[str, Any]:
    """What a passenger would ask about a flight at its departure."""
    at = f"{row.year:04.0f}-{row.month:02.0f}-{row.day:02.0f}T{row.hour:02.0f}:{row.minute:02.0f}"
    return {
        "user": "probe", "carrier": row.carrier, "origin": row.origin, "dest": row.dest,
        "departure": at, "departure_delay": float(row.dep_delay),
    }  # fmt: skip


@proof("serving", needs=["serving.it_predicts_what_the_training_logged"])
def a_quote_is_that_of_the_model_and_is_logged_once(platform: Platform, check: Check) -> None:
    """A quote through the Gateway has the score that the training logged for that flight; it is in the log
    under its request id, and the same request again gives the same answer and no second row.
    """
    require_part(platform, check)
    here = booked(platform)
    asked = flights(platform, here)
    check.equal(len(asked), ASKED, f"there are {ASKED} flights to ask for")
    expected = models.logged(asked, trained(platform).predictions)
    for row, logged in zip(asked.itertuples(), expected, strict=True):
        request_id = str(uuid.uuid4())
        answer = here.quote(request_id, question(row))
        check.equal(answer.status_code, 200, "a quote is answered")
        quote = answer.json()
        check.equal(quote["request_id"], request_id, "it has the id of its request")
        near = bool(np.isclose(quote["score"], logged, rtol=0, atol=1e-5))
        check(near, "its score is what the training logged", score=quote["score"], logged=logged)
        check.equal(quote["model_version"], here.model.found.version, "it names the served version")
        row_of_it = (request_id, quote["score"], quote["model_version"], quote["decision"], models.NAME)
        check.equal(rows(platform, request_id), [row_of_it], "its row in the log says the same")
        again = here.quote(request_id, question(row))
        check.equal(again.json(), quote, "the same request again gives the same answer")
        check.equal(len(rows(platform, request_id)), 1, "and no second row")
        other = here.quote(request_id, question(row) | {"user": "another"})
        check.equal(other.status_code, 409, "another question with its id is refused")


@proof("serving", needs=["serving.a_quote_is_that_of_the_model_and_is_logged_once"])
def a_question_that_makes_no_sense_gets_no_quote(platform: Platform, check: Check) -> None:
    """A question that is malformed, or about a flight that there is not, is refused with 422 and the cause,
    and is not logged.
    """
    require_part(platform, check)
    here = booked(platform)
    good = question(next(flights(platform, here).itertuples()))
    for change, cause in (
        (NOWHERE, "nothing is known of carrier 'ZZ'"),
        ({"departure": "soon"}, "departure"),
        ({"departure_delay": 1e9}, "departure_delay"),
        ({"price": 1}, "price"),
    ):
        request_id = str(uuid.uuid4())
        answer = here.quote(request_id, good | change)
        check.equal(answer.status_code, 422, f"a question with {change} is refused with 422")
        check(cause in answer.text, "the refusal names the cause", said=answer.text)
        check.equal(rows(platform, request_id), [], "it is not in the log")


@proof("serving", needs=["serving.a_quote_is_that_of_the_model_and_is_logged_once"])
def without_the_model_there_is_no_quote(platform: Platform, check: Check) -> None:
    """While no version of the model is served, a quote is refused with 503 and why, and not logged; it is
    answered again as soon as the model is back.
    """
    require_part(platform, check)
    here = booked(platform)
    asked, request_id = question(next(flights(platform, here).itertuples())), str(uuid.uuid4())
    found = here.model.found
    try:
        served.withdraw(platform, models.NAME, found.version)
        answer = here.quote(request_id, asked)
        check.equal(answer.status_code, 503, "without the model a quote is refused with 503")
        check(f"the model {models.NAME}" in answer.text, "the refusal names the model", said=answer.text)
        check.equal(rows(platform, request_id), [], "it is not in the log")
        ready = deployments.done(booking.deployment(platform))
        check(ready, "the pods of the service are ready all the same")
    finally:
        served.serve(platform, found, name=models.NAME, image=models.image(platform), size=models.SIZE)
        models.asked.cache_clear()
        booked.cache_clear()
    until(lambda: here.quote(request_id, asked).status_code == 200, "the model to be asked again")
    check.equal(len(rows(platform, request_id)), 1, "with the model back the same request is answered")


@proof("serving", needs=["serving.a_quote_is_that_of_the_model_and_is_logged_once"])
def the_service_is_on_the_node_of_its_model(platform: Platform, check: Check) -> None:
    """Each pod of the service is on a node of a model server, also after that node was drained."""
    require_part(platform, check)
    here = booked(platform)
    first = together(platform, check)
    if platform.name != "local":
        return  # Nobody's node is drained but that of the local stack.
    with drained(platform, first):
        second = together(platform, check)
        check(not first & second, "after the drain it is on another node", before=first, after=second)
        asked = question(next(flights(platform, here).itertuples()))
        until(lambda: here.quote(str(uuid.uuid4()), asked).status_code == 200, "a quote after the drain")
        check(True, "quotes are answered there")


def together(platform: Platform, check: Check) -> set[str]:
    """The nodes that the pods of the service are on: all of them have a model server."""
    of_model, of_service = nodes(platform, MODEL_SELECTOR), nodes(platform, booking.SELECTOR)
    check(bool(of_service), "the service has pods")
    apart = {name: node for name, node in of_service.items() if node not in of_model.values()}
    check(not apart, "each pod of the service is on a node of its model", apart=apart, model=of_model)
    return set(of_service.values())


@contextmanager
def drained(platform: Platform, names: set[str]) -> Iterator[None]:
    """The proofs' model and service have left these nodes, which take no pods meanwhile."""
    for name in names:
        platform.core.patch_node(name, {"spec": {"unschedulable": True}})
    try:
        until(lambda: left(platform, names), f"model and service to leave {', '.join(sorted(names))}")
        deployments.follow(platform, outputs.NAMESPACE_WORKLOADS, booking.NAME, 180)
        until(
            lambda: all(each.ready for each in served.served(platform, models.NAME)), "the model to be back"
        )
        yield
    finally:
        for name in names:
            platform.core.patch_node(name, {"spec": {"unschedulable": None}})


def left(platform: Platform, names: set[str]) -> bool:
    """Ask for the eviction of what is still there; a budget may refuse it for now."""
    still = [
        pod
        for selector in (booking.SELECTOR, MODEL_SELECTOR)
        for pod, node in nodes(platform, selector).items()
        if node in names
    ]
    for pod in still:
        body = k8s.V1Eviction(metadata=k8s.V1ObjectMeta(name=pod, namespace=outputs.NAMESPACE_WORKLOADS))
        try:
            platform.core.create_namespaced_pod_eviction(pod, outputs.NAMESPACE_WORKLOADS, body)
        except k8s.ApiException as error:
            if error.status not in (404, 429):
                raise
    return not still
