"""Versions get their traffic and lose it again, and nobody's request fails meanwhile."""

from typing import Any

from client import Platform, live, models, rollouts, traffic
from client.judging import Limits
from client.progress import Silent
from client.rollout_record import CANARY, ROLLED_BACK, STABLE, record_of
from proofs import booking
from proofs import rollouts as probes
from proofs.killed import lives
from proofs.repeated import repeated
from proofs.rollouts import FAILING, FIRST, LIMITS, NAME, SECOND
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part
from workloads.generate_load.load import Running

REQUESTS = 10_000
SHARES = (20.0, 50.0)


@proof("rollout")
def a_promotion_loses_no_request(platform: Platform, check: Check) -> None:
    """A second version takes all traffic over, the first is taken away, and of 10,000 requests sent
    meanwhile, none of which is repeated by anyone, each is answered 2xx. No application has a part in it.
    """
    require_part(platform, check)
    with probes.served(platform, FIRST) as (first,):
        before, application = repeated(platform, NAME), lives(platform, booking.SELECTOR)
        with Running(probes.plan(platform, requests=REQUESTS)) as load:
            second = probes.serve(platform, SECOND)
            record = rollouts.promote(platform, NAME, second, to=STABLE, steps=SHARES, limits=LIMITS)
            result = load.result()
        check.equal(record.ended, STABLE, f"version {second} became stable ({record.reason})")
        check.equal(result.requests, REQUESTS, f"{REQUESTS:,} requests were sent meanwhile")
        check.equal(
            result.outcomes, {"200": REQUESTS}, f"each of {REQUESTS:,} requests was answered 2xx, at once"
        )
        check.equal(repeated(platform, NAME) - before, 0, "the Gateway sent none of them again")
        check.equal(
            lives(platform, booking.SELECTOR), application, "the pods of the booking service are as they were"
        )
        check(
            all(result.counted.get(version) for version in (first, second)),
            "both versions answered some of them",
            counted=result.counted,
        )
        check.equal(
            [each.version for each in models.served(platform, NAME)], [second], "the first one is gone"
        )
        check.equal(
            traffic.require(platform, NAME).weights, {second: traffic.TOTAL}, "the second has all traffic"
        )


@proof("rollout")
def a_canary_without_traffic_fails(platform: Platform, check: Check) -> None:
    """A canary that nobody asks has proven nothing: it is rolled back, and says that it got 0 requests."""
    require_part(platform, check)
    limits = Limits(requests=20, patience=30)
    with probes.served(platform, FIRST, SECOND) as (first, second):
        record = rollouts.promote(platform, NAME, second, to=CANARY, steps=[50], limits=limits)
        check.equal(record.ended, ROLLED_BACK, "a canary without traffic is rolled back")
        check("got 0 requests" in record.reason, "it says that it got no requests", reason=record.reason)
        check.equal(
            traffic.require(platform, NAME).weights, {first: traffic.TOTAL}, "the first has all traffic again"
        )


@proof("rollout")
def a_bad_canary_is_rolled_back(platform: Platform, check: Check) -> None:
    """A version that fails for one airline gets a small share, is found out by that, and loses it again."""
    require_part(platform, check)
    with probes.served(platform, FIRST, FAILING) as (first, failing):
        with Running(probes.plan(platform, requests=REQUESTS)) as load:
            record = rollouts.promote(platform, NAME, failing, to=CANARY, steps=[10, 50], limits=LIMITS)
            load.stop()
            result = load.result()
        check.equal(record.ended, ROLLED_BACK, "a version that fails is rolled back")
        check("5xx" in record.reason, "it says what was wrong", reason=record.reason)
        check.equal(record.passed, 0, "it did not get past its first step")
        check.equal(
            traffic.require(platform, NAME).weights, {first: traffic.TOTAL}, "the first has all traffic again"
        )
        part = result.failed / result.requests
        check(part < 0.05, "few requests failed: those that it got for that airline", part=part)


class _Killed(BaseException):
    """What nothing runs after."""


class _KilledAt(Silent):
    """Progress in which the rollout is lost as it begins a step."""

    def __init__(self, step: str) -> None:
        self.step = step

    def begin(self, step: str, expected_seconds: float | None = None) -> None:
        if self.step in step:
            raise _Killed


@proof("rollout")
def a_lost_rollout_is_gone_on_with(platform: Platform, check: Check) -> None:
    """A rollout that is lost between two steps leaves the weights of the first; the same call goes on from
    there, and by then nothing has been judged twice.
    """
    require_part(platform, check)
    with (
        probes.served(platform, FIRST, SECOND) as (first, second),
        Running(probes.plan(platform, requests=REQUESTS)),
    ):
        call: dict[str, Any] = {"to": CANARY, "steps": [20, 40], "limits": LIMITS}
        try:
            rollouts.promote(platform, NAME, second, **call, progress=_KilledAt("at 40 %"))
        except _Killed:
            pass
        route = traffic.require(platform, NAME)
        left = record_of(route)
        check(
            left is not None and not left.ended and left.passed == 1,
            "it was lost in its second step",
            left=left,
        )
        check.equal(route.weights, {first: 800, second: 200}, "the weights are those of its first step")
        record = rollouts.promote(platform, NAME, second, **call)
        check.equal((record.ended, record.passed), (CANARY, 2), "the same call goes on to its end")
        check.equal(record.began, left and left.began, "it is the same rollout")
        check.equal(
            traffic.require(platform, NAME).weights, {first: 600, second: 400}, "the canary has its share"
        )


@proof("rollout")
def a_shadow_gets_copies_and_nobody_sees_its_answers(platform: Platform, check: Check) -> None:
    """Each request goes to the shadow too, and each answer comes from the version that has the traffic."""
    require_part(platform, check)
    copies = 200
    with probes.served(platform, FIRST, SECOND) as (first, second):
        before = live.look(platform, NAME)
        rollouts.shadow(platform, NAME, second)  # It is asked itself before: those requests count too.
        seen: dict[str, int] = {}
        got = 0
        for _ in range(30):
            for version, count in probes.counted(platform, copies).items():
                seen[version] = seen.get(version, 0) + count
            got = live.since(before, live.look(platform, NAME), second).requests
            if got >= copies:
                break
        check.equal(set(seen), {first}, "every answer is of the version that has the traffic")
        check(got >= copies, f"the shadow got {copies} copies", got=got, sent=seen)
