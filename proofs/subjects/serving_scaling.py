"""More requests get more pods, of the model and of the service together; fewer requests get fewer."""

from dataclasses import replace

from client import Platform, outputs
from proofs import booking, scaled
from proofs import rollouts as probes
from proofs.booking import Booked, booked, nodes
from proofs.run import Check, proof
from proofs.subjects.serving_booking import MODEL_SELECTOR, flights, question
from proofs.subjects.serving_gateway import require_part
from workloads.generate_load.load import Running
from workloads.generate_load.plan import Plan
from workloads.generate_load.result import Result

MANY, FEW = 24.0, 1.0
"""Quotes a second: three times what a pod is to get, and an eighth of it."""
PATIENCE = 150.0
"""Seconds in which there are to be more pods, or fewer."""


@proof("serving", needs=["serving.a_quote_is_that_of_the_model_and_is_logged_once"])
def what_pods_are_scaled_by_can_be_read(platform: Platform, check: Check) -> None:
    """Of each pod of the model and of the service it can be read how many requests a second it gets: none for
    one that gets none, and more than none while it is asked.
    """
    require_part(platform, check)
    here = booked(platform)
    asked = {outputs.METRIC_MODEL: MODEL_SELECTOR, outputs.METRIC_BOOKING: booking.SELECTOR}
    for metric, selector in asked.items():
        found = scaled.figures(platform, metric, selector, lambda all_of: not any(all_of.values()), "to be 0")
        check(bool(found), f"a pod that gets no requests has the metric {metric}, and it is 0", found=found)
    try:
        with Running(quotes(platform, here, booking.NAME, MANY, round(MANY * PATIENCE))) as load:
            for metric, selector in asked.items():
                scaled.figures(platform, metric, selector, lambda each: sum(each.values()) > 1, "to grow")
                check(True, f"the metric {metric} sees what they get")
            load.stop()
            check.equal(set(load.result().outcomes), {"200"}, "each quote is answered meanwhile")
    finally:
        booking.forget(platform, scaled.USER)


@proof("serving", needs=["serving.a_quote_is_that_of_the_model_and_is_logged_once"])
def model_and_service_are_scaled_out_together(platform: Platform, check: Check) -> None:
    """Asked for three times what one pod is to get, model and service both get more pods, those of the
    service only where a model server is; asked for little they have one each again. Every quote is answered
    meanwhile.
    """
    require_part(platform, check)
    with scaled.scaled(platform) as here:
        version = here.model.found.version
        for metric, selector in (
            (outputs.METRIC_MODEL, scaled.SERVERS),
            (outputs.METRIC_BOOKING, scaled.SERVICES),
        ):
            found = scaled.figures(
                platform, metric, selector, lambda each: len(each) == 1, "to be of one pod"
            )
            check.equal(len(found), 1, f"there is one pod, of which {metric} can be read")
        out = during(platform, here, version, MANY, more=True)
        of_model, of_service = nodes(platform, scaled.SERVERS), nodes(platform, scaled.SERVICES)
        check(len(of_model) > 1, "the model has more than one pod", pods=of_model)
        check(len(of_service) > 1, "the service has more than one pod", pods=of_service)
        apart = {name: node for name, node in of_service.items() if node not in of_model.values()}
        check(not apart, "each pod of the service is on a node of its model", apart=apart, model=of_model)
        check.equal(set(out.outcomes), {"200"}, "each quote was answered while there came to be more pods")
        back = during(platform, here, version, FEW, more=False)
        check.equal(len(nodes(platform, scaled.SERVERS)), 1, "the model has one pod again")
        check.equal(len(nodes(platform, scaled.SERVICES)), 1, "the service has one pod again")
        check.equal(set(back.outcomes), {"200"}, "each quote was answered while pods went")


def during(platform: Platform, here: Booked, version: str, rate: float, *, more: bool) -> Result:
    """Ask at this rate until there is more than one pod of both, or one of each; what came of the quotes."""
    what = "model and service to be scaled out" if more else "model and service to be scaled in"
    plan = quotes(platform, here, scaled.SERVICE, rate, round(rate * (PATIENCE + 60)))
    with Running(plan) as load:
        scaled.until_there_are(platform, version, lambda pods: (pods > 1) == more, what, PATIENCE)
        load.stop()
        return load.result()


def quotes(platform: Platform, here: Booked, name: str, rate: float, requests: int) -> Plan:
    """So many quotes at a rate, each a question of its own, of a service by this name."""
    questions = [question(row) | {"user": scaled.USER} for row in flights(platform, here).itertuples()]
    plan = probes.asking(platform, name, "/v1/quotes", questions, requests=requests, rate=rate)
    return replace(plan, connections=32)
