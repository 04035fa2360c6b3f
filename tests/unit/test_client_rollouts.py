"""How a version gets its traffic and loses it again, on a model whose traffic is arithmetic."""

from dataclasses import replace
from typing import Any

import pytest
import urllib3
from kubernetes import client as k8s

from client import live, models, rollouts, traffic
from client.errors import ClientError
from client.judging import Limits
from client.rollout_record import CANARY, ROLLED_BACK, STABLE, STOPPED, record_of
from client.rollout_step import Judge
from client.rollouts import Superseded, divide, promote, rollback, shadow
from tests.unit.rollout_world import World

LIMITS = Limits(requests=100, patience=120)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Version 3 gets everything, version 4 is served beside it."""
    made = World(monkeypatch)
    promote(made.platform, "delay", "3", to=STABLE)
    made.seen.clear()
    return made


def start(world: World, to: str = STABLE, **more: Any) -> Any:
    return promote(world.platform, "delay", "4", to=to, limits=LIMITS, progress=world.progress, **more)


def test_a_good_version_becomes_stable_step_by_step_and_the_one_before_is_taken_away(world: World) -> None:
    record = start(world)
    assert (record.ended, record.passed) == (STABLE, 5)
    assert world.seen == [
        {"3": 990, "4": 10}, {"3": 950, "4": 50}, {"3": 750, "4": 250}, {"3": 500, "4": 500}, {"4": 1000},
    ]  # fmt: skip
    assert list(world.versions) == ["4"]
    assert record_of(world.now) == record
    assert "0 failed" in "".join(world.said)


def test_a_canary_keeps_its_last_share_and_goes_on_from_there_to_stable(world: World) -> None:
    assert start(world, CANARY).ended == CANARY
    assert world.now.weights == {"3": 950, "4": 50}
    world.seen.clear()
    assert start(world).ended == STABLE
    assert [weights.get("4") for weights in world.seen] == [250, 500, 1000]


def test_a_version_that_is_stable_already_is_left_as_it_is(world: World) -> None:
    before = world.route
    assert promote(world.platform, "delay", "3", to=STABLE).ended == STABLE
    assert world.route == before


def test_a_version_is_kept_that_is_to_be_kept_or_that_a_rule_names(world: World) -> None:
    world.versions["2"] = True
    divide(world.platform, "delay", {"old": "3"})
    start(world)
    assert world.versions.keys() == {"2", "3", "4"}
    assert any("version 3 of delay stays: a rule of its route names it" in line for line in world.said)


def test_a_version_that_is_asked_past_the_route_is_not_taken_away(world: World) -> None:
    def ask() -> None:
        world.serve("3", 1)
        world.after(20, ask)

    ask()
    start(world)
    assert "3" in world.versions
    assert any("still gets requests" in line for line in world.said)


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ((1.0, 0, 0), "5xx"),
        ((0.2, 0, 0), "5xx"),
        ((0, 0.5, 0), "4xx more often"),
        ((0, 0, 0.2), "p99 is over"),
    ],
)
def test_a_bad_canary_is_rolled_back_to_the_former_weights_with_the_reason(
    world: World, bad: tuple[float, float, float], told: str
) -> None:
    world.bad["4"] = bad
    record = start(world)
    assert (record.ended, record.passed) == (ROLLED_BACK, 0)
    assert told in record.reason
    assert world.now.weights == {"3": 1000}
    assert record_of(world.now) == record
    assert world.versions.keys() == {"3", "4"}, "both are still served"


def test_a_version_that_turns_bad_at_a_later_step_loses_all_of_its_traffic(world: World) -> None:
    start(world, CANARY)
    world.bad["4"] = (0.5, 0, 0)
    record = start(world)
    assert record.ended == ROLLED_BACK
    assert world.now.weights == {"3": 1000}, "also what it had as a canary"


def test_a_canary_without_traffic_is_a_failure_and_never_a_pass(world: World) -> None:
    world.rate = 0
    record = start(world, CANARY)
    assert record.ended == ROLLED_BACK
    assert record.reason.startswith("no traffic: it got 0 requests in 120 s at 1 %")
    assert world.now.weights == {"3": 1000}


def test_a_few_requests_are_not_enough(world: World) -> None:
    world.rate = 10
    record = start(world, CANARY)
    assert (record.ended, record.reason[:19]) == (ROLLED_BACK, "too little traffic:")


def test_a_version_that_is_hardly_reached_is_not_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve = world.serve
    monkeypatch.setattr(world, "serve", lambda version, count: serve(version, count if version == "3" else 0))
    monkeypatch.setattr(rollouts, "require_counted", lambda *_: None)
    record = start(world, steps=[50])
    assert "hardly reached: 0 requests" in record.reason
    assert world.clock < LIMITS.patience


def test_failures_that_only_the_gateway_sees_count(world: World) -> None:
    unseen = {(live.GATEWAY, "", "", "", "envoy_response_code_class=5"): 400}
    world.after(5, lambda: world.counted.update(unseen))
    record = start(world, CANARY)
    assert "error rate at the Gateway" in record.reason


def test_what_is_not_known_is_noted_and_not_passed_over(world: World) -> None:
    world.gateway = False
    world.counted.clear()
    record = start(world, CANARY)
    assert [note.split(" (")[0] for note in record.notes] == ["answers at the Gateway", "live accuracy"]


def test_a_limit_on_times_that_cannot_be_judged_is_noted(world: World) -> None:
    limits = replace(LIMITS, p99_seconds=1.5, p99_ratio=1000)
    record = promote(world.platform, "delay", "4", to=CANARY, limits=limits)
    assert [note for note in record.notes if note.startswith("times (a limit of 1.5 s is above 1 s")]


def test_a_version_that_is_more_often_wrong_is_rolled_back(world: World) -> None:
    world.outcomes = {"3": (500, 100), "4": (200, 100)}
    assert "live accuracy is worse" in start(world, CANARY).reason
    world.outcomes = {"3": (500, 100), "4": (200, 42)}
    assert start(world, CANARY).ended == CANARY


def test_a_restarted_or_missing_pod_ends_it(world: World) -> None:
    world.after(5, lambda: setattr(world, "restarts", 1))
    assert start(world).reason == "a pod of it was restarted"
    world.after(5, lambda: world.versions.update({"4": False}))
    assert start(world).reason == "its pods are not ready"


def test_an_interruption_leaves_the_last_good_step_and_the_same_call_goes_on(world: World) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    world.at(250, interrupt)
    with pytest.raises(KeyboardInterrupt):
        start(world)
    left = record_of(world.now)
    assert left is not None
    assert not left.ended
    assert left.passed == 2
    assert world.seen[-2:] == [{"3": 750, "4": 250}, {"3": 950, "4": 50}], "back to the last good step"
    assert any("interrupted: version 4 has the 5 % of its last good step" in line for line in world.said)
    world.seen.clear()
    record = start(world)
    assert record.ended == STABLE
    assert [weights.get("4") for weights in world.seen] == [250, 500, 1000]
    assert record.began == left.began


class Killed(BaseException):
    """Nothing that runs after it."""


def kill(world: World) -> None:
    """A rollout that ends in the middle of its third step, without a word."""

    def strike() -> None:
        raise Killed

    world.at(250, strike)
    with pytest.raises(Killed):
        start(world)


def test_a_killed_rollout_is_taken_up_at_the_step_it_was_in(world: World) -> None:
    kill(world)
    assert world.now.weights == {"3": 750, "4": 250}, "nobody put anything back"
    world.seen.clear()
    record = start(world)
    assert (record.ended, record.passed) == (STABLE, 5)
    assert [weights.get("4") for weights in world.seen] == [500, 1000], "the step it was in is judged anew"
    assert any("2 of 5 steps done" in line for line in world.said)


def test_a_rollback_of_one_version_leaves_the_rollout_of_another(world: World) -> None:
    start(world, CANARY)
    with pytest.raises(ClientError, match="the last rollout of model 'delay' is of version 4, not of 3"):
        rollback(world.platform, "delay", version="3")
    assert world.now.weights == {"3": 950, "4": 50}
    record = rollback(world.platform, "delay", version="4", reason="reaction 7")
    assert (record.ended, record.reason) == (ROLLED_BACK, "reaction 7")
    assert world.now.weights == {"3": 1000}


def test_a_rollback_that_another_was_quicker_than_takes_back_nothing_else(world: World) -> None:
    start(world, CANARY)
    world.writers.append(lambda: rollback(world.platform, "delay"))
    with pytest.raises(ClientError, match="there is no rollout of model 'delay' to take back"):
        rollback(world.platform, "delay", version="4")
    assert world.now.weights == {"3": 1000}


def test_a_killed_rollout_can_be_rolled_back_and_another_one_is_refused(world: World) -> None:
    kill(world)
    world.versions["5"] = True
    with pytest.raises(ClientError, match="the rollout of version 4 of delay to stable is not done"):
        promote(world.platform, "delay", "5", to=CANARY, limits=LIMITS)
    record = rollback(world.platform, "delay")
    assert (record.ended, record.reason) == (ROLLED_BACK, "by hand")
    assert world.now.weights == {"3": 1000}
    assert promote(world.platform, "delay", "5", to=CANARY, limits=LIMITS).ended == CANARY


def test_a_rollout_that_somebody_works_on_is_not_taken_over(world: World) -> None:
    kill(world)

    def beat() -> None:
        found = record_of(world.now)
        assert found is not None
        world.write(lambda route: replace(found, beat=found.beat + 1).on(route))
        world.after(rollouts.POLL, beat)

    world.after(1, beat)
    with pytest.raises(ClientError, match="a rollout of version 4 of delay is under way"):
        start(world)


def test_a_rollout_that_is_rolled_back_by_hand_stops_and_touches_nothing(world: World) -> None:
    world.at(250, lambda: rollback(world.platform, "delay"))
    with pytest.raises(Superseded, match="was taken over by another call"):
        start(world)
    assert world.now.weights == {"3": 1000}


def test_a_rollback_that_comes_between_the_last_look_and_the_next_step_is_not_written_over(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged = Judge.done

    def done(judge: Judge) -> bool:
        over = judged(judge)
        if over and not world.writers:
            world.writers.append(lambda: rollback(world.platform, "delay"))
        return over

    monkeypatch.setattr(Judge, "done", done)
    with pytest.raises(Superseded, match=r"taken over by another call \(rolled back: by hand\)"):
        start(world)
    assert world.now.weights == {"3": 1000}


def test_weights_that_somebody_else_changed_are_left_alone(world: World) -> None:
    mine = {"3": 400, "4": 600}
    world.at(250, lambda: world.write(lambda route: route.weighed(mine)))
    with pytest.raises(Superseded, match="somebody else changed the weights"):
        start(world)
    assert world.now.weights == mine
    found = record_of(world.now)
    assert found is not None
    assert found.ended == STOPPED


def test_weights_that_somebody_else_changed_after_the_last_look_are_left_alone_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, judged = {"3": 400, "4": 600}, Judge.done

    def done(judge: Judge) -> bool:
        over = judged(judge)
        if over and not world.writers:
            world.writers.append(lambda: world.write(lambda route: route.weighed(mine)))
        return over

    monkeypatch.setattr(Judge, "done", done)
    with pytest.raises(Superseded, match="somebody else changed the weights"):
        start(world)
    assert world.now.weights == mine
    found = record_of(world.now)
    assert found is not None
    assert (found.ended, found.passed) == (STOPPED, 0)


def by_hand(world: World, weights: dict[str, int]) -> None:
    """Somebody writes weights as `kubectl edit` lets them, also 0."""

    def make(route: Any) -> Any:
        made = route.weighed({version: 1 for version in weights})
        backends = made.item["spec"]["rules"][-1]["backendRefs"]
        for backend, weight in zip(backends, weights.values(), strict=True):
            backend["weight"] = weight
        return made

    world.write(make)


def test_a_version_that_got_everything_by_hand_is_stable(world: World) -> None:
    by_hand(world, {"3": 0, "4": 1000})
    world.bad["4"] = (1.0, 0, 0)
    assert start(world).ended == STABLE, "there is nothing to roll out, and nothing to go back to"
    assert world.now.weights == {"3": 0, "4": 1000}


def test_a_version_that_was_rolled_back_and_then_got_everything_by_hand_is_stable(world: World) -> None:
    world.bad["4"] = (1.0, 0, 0)
    assert start(world).ended == ROLLED_BACK
    by_hand(world, {"4": 1000})
    assert start(world).ended == STABLE


def test_a_stable_version_can_be_rolled_back_while_the_one_before_is_served(world: World) -> None:
    start(world, keep=True)
    assert world.now.weights == {"4": 1000}
    rollback(world.platform, "delay")
    assert world.now.weights == {"3": 1000}
    start(world)
    with pytest.raises(ClientError, match="version 3 of delay is not served"):
        rollback(world.platform, "delay")
    assert world.now.weights == {"4": 1000}


def test_a_rollback_asks_nobody_first(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    kill(world)

    def away(*_: Any) -> None:
        raise ConnectionError("the object store, which has the example to ask with, is away")

    monkeypatch.setattr(rollouts, "require_answering", away)
    assert rollback(world.platform, "delay").ended == ROLLED_BACK
    assert world.now.weights == {"3": 1000}


def test_a_version_that_is_not_ready_gets_nothing_back(world: World) -> None:
    kill(world)
    world.versions["3"] = False
    with pytest.raises(ClientError, match="version 3 of delay is not ready"):
        rollback(world.platform, "delay")
    assert world.now.weights == {"3": 750, "4": 250}


def test_nothing_is_rolled_back_where_nothing_was_rolled_out(world: World) -> None:
    with pytest.raises(ClientError, match="there is no rollout of model 'delay' to take back"):
        rollback(world.platform, "delay")
    world.route = None
    with pytest.raises(ClientError, match="model 'delay' has no traffic"):
        rollback(world.platform, "delay")


def test_a_first_version_can_only_be_stable(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch)
    with pytest.raises(ClientError, match="has no stable version that a canary could stand beside"):
        promote(world.platform, "delay", "3", to=CANARY)
    assert world.route is None


def test_while_the_bandit_steers_nothing_is_promoted(world: World) -> None:
    world.write(lambda route: route.noted(traffic.STEERED, {"by": "steer-traffic"}))
    world.steering.add("steer-traffic")
    with pytest.raises(ClientError, match="Deployment steer-traffic moves the weights of delay"):
        start(world)
    world.steering.clear()
    assert start(world).ended == STABLE


def test_a_platform_that_does_not_count_a_version_gives_it_no_traffic(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(world, "serve", lambda *_: None)
    with pytest.raises(ClientError, match="Prometheus has not counted the requests that version 4"):
        start(world)
    assert world.now.weights == {"3": 1000}


def test_the_weights_go_back_when_the_platform_fails_in_a_step(world: World) -> None:
    def fail() -> None:
        raise ConnectionError("etcd is away")

    world.at(250, fail)
    record = start(world)
    assert record.ended == ROLLED_BACK
    assert record.reason == "it could not be judged: ConnectionError: etcd is away"
    assert world.now.weights == {"3": 1000}


def test_a_prometheus_that_is_away_for_a_while_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, away = live.look, [5]

    def sometimes(*given: Any) -> live.Look:
        if "4" in world.now.weights and away[0]:
            away[0] -= 1
            raise live.PrometheusAway("Prometheus does not answer", "wait")
        return look(*given)

    monkeypatch.setattr(live, "look", sometimes)
    assert start(world, CANARY).ended == CANARY
    away[0] = 1000
    with pytest.raises(ClientError, match="Prometheus does not answer"):
        start(world)
    assert world.now.weights == {"3": 950, "4": 50}, "nothing was begun"


NOT_NOW = (
    k8s.ApiException(status=503, reason="Service Unavailable"),
    urllib3.exceptions.MaxRetryError(None, "/", "connection refused"),  # type: ignore[arg-type]
)


def failing(times: int, error: Exception, does: Any) -> Any:
    """What `does` does, after it has failed so many times."""
    left = [times]

    def sometimes(*given: Any, **more: Any) -> Any:
        if left[0]:
            left[0] -= 1
            raise error
        return does(*given, **more)

    return sometimes


@pytest.mark.parametrize("error", NOT_NOW)
def test_an_api_server_that_is_away_for_a_while_is_waited_for(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """In each thing that a step asks of it: about pods, about versions, and to write."""
    pods, served, request = world.platform.core.list_namespaced_pod, models.served, world.request

    def go_away() -> None:
        world.platform.core.list_namespaced_pod = failing(2, error, pods)
        monkeypatch.setattr(models, "served", failing(2, error, served))
        monkeypatch.setattr(traffic, "request", failing(2, error, request))

    world.after(1, go_away)
    world.at(250, go_away)
    record = start(world)
    assert (record.ended, record.passed) == (STABLE, 5)


@pytest.mark.parametrize("error", NOT_NOW)
def test_a_write_whose_answer_was_lost_is_not_taken_for_somebody_elses(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    lost: list[int] = []

    def request(*given: Any, **more: Any) -> str:
        answer = world.request(*given, **more)
        if given[1] == "PUT" and world.now.weights.get("4") not in (None, *lost):
            lost.append(world.now.weights["4"])
            raise error
        return answer

    monkeypatch.setattr(traffic, "request", request)
    assert start(world).ended == STABLE
    assert lost == [10, 50, 250, 500, 1000]


def test_an_api_server_that_stays_away_ends_it_with_the_cause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version has lost its traffic once it is back."""
    request, back = world.request, 1.5 * LIMITS.patience

    def away(*given: Any, **more: Any) -> str:
        if 5 < world.clock < back:
            raise NOT_NOW[0]
        return request(*given, **more)

    monkeypatch.setattr(traffic, "request", away)
    record = start(world)
    assert record.ended == ROLLED_BACK
    assert record.reason.startswith(
        "it could not be judged within 120 s: the API server does not answer: (503)"
    )
    assert world.now.weights == {"3": 1000}


def test_what_the_api_server_refuses_is_not_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.after(1, lambda: monkeypatch.setattr(models, "served", failing(1, k8s.ApiException(403), None)))
    assert "it could not be judged: ApiException: (403)" in start(world).reason


def test_a_log_that_is_away_is_waited_for_and_no_longer_than_a_step_may_take(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = live.LogAway("the log of predictions does not answer", "wait")
    monkeypatch.setattr(live, "outcomes", failing(3, error, live.outcomes))
    assert start(world, CANARY).ended == CANARY
    monkeypatch.setattr(live, "outcomes", failing(1000, error, live.outcomes))
    record = start(world)
    assert record.ended == ROLLED_BACK
    assert record.reason == "it could not be judged within 120 s: the log of predictions does not answer"


def test_a_shadow_gets_copies_until_it_gets_requests_of_its_own(world: World) -> None:
    assert shadow(world.platform, "delay", "4").shadow == "4"
    with pytest.raises(ClientError, match="version 3 of delay gets requests already"):
        shadow(world.platform, "delay", "3")
    start(world, CANARY)
    assert world.now.shadow is None
    assert shadow(world.platform, "delay", None).shadow is None


@pytest.mark.parametrize(
    ("to", "steps", "told"),
    [
        ("canary", [5, 5], "cannot lead to canary"),
        ("canary", [5, 100], "cannot lead to canary"),
        ("canary", [], "cannot lead to canary"),
        ("stable", [0, 50], "cannot lead to stable"),
        ("stable", [50, 101], "cannot lead to stable"),
        ("canary", [0.04, 1], "steps 0.04, 1 cannot lead to canary"),
        ("best", None, "not to 'best'"),
    ],
)
def test_steps_that_lead_nowhere_are_refused(to: str, steps: Any, told: str) -> None:
    with pytest.raises(ClientError, match=told):
        rollouts.fitting(to, steps)


def test_the_way_to_stable_ends_at_all_requests() -> None:
    assert rollouts.fitting("stable", [10, 50]) == (10, 50, 100)
    assert rollouts.fitting("canary", None) == (1, 5)
