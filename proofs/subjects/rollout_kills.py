"""Killed servers: with two pods of a version nobody's request fails, because the Gateway sends it again."""

from client import Platform
from proofs import killed
from proofs import rollouts as probes
from proofs.repeated import repeated
from proofs.rollouts import FIRST, NAME
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part
from workloads.generate_load.load import Running

KILLS = 3
"""The third waits for Kubernetes to start its server again: ten seconds after the second time."""
MOST = 30_000
"""Requests: so many that the load outlasts the kills, which end it."""


@proof("rollout")
def a_killed_model_server_fails_no_request(platform: Platform, check: Check) -> None:
    """The servers of a version in two pods are killed one after another (SIGKILL) while it is asked: the
    Gateway sends what broke off, or found nobody, to the other pod, and each request is answered 2xx.
    """
    require_part(platform, check)
    with probes.served(platform, FIRST, replicas=2) as (version,):
        before = repeated(platform, NAME)
        with Running(probes.plan(platform, requests=MOST)) as load:
            codes = killed.in_turn(platform, NAME, version, KILLS)
            load.stop()
            result = load.result()
        check.equal(codes, KILLS * [killed.SIGKILL], f"servers were killed {KILLS} times")
        check(result.stopped, "they were asked all the time", requests=result.requests)
        check.equal(
            result.outcomes,
            {"200": result.requests},
            "each request was answered 2xx while servers were killed",
        )
        again = repeated(platform, NAME) - before
        check(again > 0, "the Gateway sent some of them again", again=again)
