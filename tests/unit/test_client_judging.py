"""The exact tests by which a version is judged, and what is read for them."""

import itertools
import math
import re
from types import SimpleNamespace as Some
from typing import Any

import httpx
import pytest

from client import live
from client.judging import EARLY, FINAL, Counts, Limits, at_least, complaints, more_than
from client.live import Look

LIMITS = Limits()


def test_the_binomial_tail_is_that_of_the_sum() -> None:
    for trials, hits, rate in itertools.product((20, 57), (1, 3, 9, 20), (0.01, 0.1, 0.4)):
        whole = sum(
            math.comb(trials, each) * rate**each * (1 - rate) ** (trials - each)
            for each in range(hits, trials + 1)
        )
        expected = 1.0 if hits <= trials * rate else whole
        assert at_least(hits, trials, rate) == pytest.approx(expected, rel=1e-9)
    assert at_least(1, 10, 0.0) == 0.0
    assert at_least(100_000, 100_000, 0.01) == 0.0


def test_fishers_test_is_that_of_the_sum() -> None:
    for hits, other in itertools.product((1, 4, 12), (0, 2, 30)):
        trials, others = 12, 40
        every = hits + other
        whole = sum(
            math.comb(every, each) * math.comb(trials + others - every, trials - each)
            for each in range(hits, min(every, trials) + 1)
        ) / math.comb(trials + others, trials)
        expected = 1.0 if hits * others <= other * trials else whole
        assert more_than(hits, trials, other, others) == pytest.approx(expected, rel=1e-9)


def timed(requests: int, slow: int, failed: int = 0, **more: int) -> Counts:
    """`slow` of the requests took between 1 and 2 s, the others at most 10 ms."""
    within = {0.01: requests - slow, 1.0: requests - slow, 2.0: requests, math.inf: requests}
    return Counts(requests, failed, within=within, **more)


def test_what_may_be_chance_is_no_complaint_and_what_cannot_be_is_one() -> None:
    stable = timed(10_000, 10, failed=10)
    assert complaints(timed(100, 1, failed=1), stable, Limits(errors=0.02), FINAL) == []
    assert complaints(timed(100, 0), stable, LIMITS, FINAL) == []
    (said, again) = complaints(timed(100, 0, failed=5), stable, LIMITS, FINAL)
    assert said == "its error rate is over the limit of 1.00%: 5 of 100 (5.0%) answers were 5xx"
    assert again.startswith(
        "it answers 5xx more often than the stable version: 5 of 100 (5.0%) against 10 of"
    )
    (said, *_) = complaints(timed(100, 8), timed(0, 0), LIMITS, FINAL)
    assert said == "its p99 is over 1 s: 8 of 100 (8.0%) requests took more than 1 s"


def test_an_early_look_asks_for_more_than_the_last_one() -> None:
    some = timed(100, 0, failed=4)
    assert complaints(some, Counts(), LIMITS, FINAL)
    assert not complaints(some, Counts(), LIMITS, EARLY)
    assert complaints(timed(5, 0, failed=5), Counts(), LIMITS, EARLY), "five failures in a row are enough"


def test_no_requests_are_no_complaint_as_they_are_no_pass() -> None:
    assert complaints(Counts(), timed(1000, 0), LIMITS, FINAL) == []
    assert math.isnan(Counts().quantile(0.99))


def test_a_quantile_lies_between_the_edges_of_its_bucket() -> None:
    counts = Counts(100, within={0.1: 50, 0.2: 100, math.inf: 100})
    assert counts.quantile(0.5) == pytest.approx(0.1)
    assert counts.quantile(0.75) == pytest.approx(0.15)
    assert Counts(10, within={0.1: 0, math.inf: 10}).quantile(0.99) == 0.1, "as much as is known"
    assert counts.slower_than(0.15) == (0.2, 0, 100)
    assert counts.slower_than(0.05) == (0.1, 50, 100)
    assert counts.slower_than(5) == (math.inf, 0, 100)


def test_slower_than_the_stable_version_is_a_complaint_also_within_the_limit() -> None:
    stable = Counts(1000, within={0.01: 1000, 0.1: 1000, 1.0: 1000, math.inf: 1000})
    slow = Counts(1000, within={0.01: 900, 0.1: 900, 1.0: 1000, math.inf: 1000})
    (said,) = complaints(slow, stable, LIMITS, FINAL)
    assert "2 × the stable version's 0.0099 s: 100 of 1000" in said
    few = Counts(50, within={0.01: 50, math.inf: 50})
    assert complaints(slow, few, LIMITS, FINAL) == [], "it has too few requests to be compared with"


def test_live_accuracy_counts_where_it_is_known_of_both() -> None:
    right, wrong = timed(100, 0, known=1000, wrong=200), timed(100, 0, known=300, wrong=90)
    (said,) = complaints(wrong, right, LIMITS, FINAL)
    assert said == (
        "its live accuracy is worse than the stable version's: 210 of 300 (70.0%) against 800 of 1000 (80.0%)"
    )
    assert complaints(wrong, timed(100, 0), LIMITS, FINAL) == []
    assert complaints(right, wrong, LIMITS, FINAL) == []


def answers(**series: list[dict[str, Any]]) -> Any:
    """A platform whose Prometheus has these series, by the name in the query."""

    def prometheus(path: str, query: str) -> Any:
        assert path == "query"
        return {"result": series.get(query.removeprefix("last_over_time(").partition("{")[0], [])}

    return Some(prometheus=prometheus, access={})


def sample(name: str, value: float, **labels: str) -> dict[str, Any]:
    return {"metric": {"__name__": name, "model": "delay", **labels}, "value": [0, str(value)]}


def counted(pod: str, **by_code: int) -> list[dict[str, Any]]:
    return [
        sample(live.REQUESTS, value, version="4", code=code.removeprefix("c"), pod=pod)
        for code, value in by_code.items()
    ]


def test_counters_are_told_apart_by_pod_and_may_begin_anew() -> None:
    before = live.look(answers(model_requests_total=counted("a", c200=100) + counted("b", c200=50)), "delay")
    series = counted("a", c200=110, c500=3) + counted("b", c200=7) + counted("c", c422=2)
    buckets = [
        sample(live.SECONDS, value, version="4", le=edge, pod="a")
        for edge, value in (("0.1", 9), ("+Inf", 13))
    ]
    now = live.look(answers(model_requests_total=series, model_request_seconds_bucket=buckets), "delay")
    found = live.since(before, now, "4")
    assert (found.requests, found.failed, found.refused) == (10 + 3 + 7 + 2, 3, 2), "b was restarted"
    assert found.within == {0.1: 9, math.inf: 13}
    assert live.since(before, now, "3") == Counts()


def test_a_server_whose_last_scrape_failed_is_not_taken_for_a_new_one() -> None:
    def hidden(path: str, query: str) -> Any:
        """Prometheus marks what it could not read; only a range looks past the mark."""
        seen = query.endswith("[5m])") and live.REQUESTS in query
        return {"result": counted("a", c200=900, c500=50) if seen else []}

    before = live.look(Some(prometheus=hidden), "delay")  # type: ignore[arg-type]
    now = live.look(answers(model_requests_total=counted("a", c200=903, c500=50)), "delay")
    assert live.since(before, now, "4") == Counts(requests=3)


def test_a_prometheus_that_is_away_is_an_error_for_a_person() -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise httpx.ConnectError("refused")

    with pytest.raises(live.PrometheusAway, match="Prometheus does not answer, and what delay does") as error:
        live.look(Some(prometheus=away), "delay")  # type: ignore[arg-type]
    assert "kubectl -n platform-monitoring get pods" in error.value.todo


def test_the_gateway_is_not_known_where_it_is_not_read() -> None:
    assert live.at_the_gateway(Look(), live.look(answers(), "delay")) is None
    rules = [
        sample(live.GATEWAY, value, envoy_response_code_class=code, envoy_cluster_name="httproute/x/rule/0")
        for code, value in (("2", 97), ("5", 3))
    ]
    assert live.at_the_gateway(Look(), live.look(answers(envoy_cluster_upstream_rq_xx=rules), "delay")) == (
        100,
        3,
    )


def test_what_a_shadow_answers_is_no_part_of_the_models_answers_at_the_gateway() -> None:
    asked: list[str] = []

    def prometheus(_: str, query: str) -> Any:
        asked.append(query)
        return {"result": []}

    live.look(Some(prometheus=prometheus), "delay")  # type: ignore[arg-type]
    (pattern,) = (re.search('=~"(.*)"', query)[1] for query in asked if "=~" in query)  # type: ignore[index]
    assert re.fullmatch(pattern, "httproute/workloads/delay/rule/10")
    assert not re.fullmatch(pattern, "httproute/workloads/delay/rule/0-mirror-0")
    assert not re.fullmatch(pattern, "httproute/workloads/delay-2/rule/0")


def test_without_a_log_no_outcome_is_known() -> None:
    assert live.outcomes(answers(), "delay", ["3"], "2013-07-01T00:00:00+00:00") == {}
