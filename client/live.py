"""What the versions of a model are doing: counts by Prometheus, outcomes by the log of predictions.

The counts are those of the model servers themselves. Envoy counts by rule, not by version; its count of a
whole rule is read too, because a request that reaches no server is counted nowhere else.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from client.errors import ClientError
from client.judging import Counts
from client.platform import Platform
from infra import outputs

REQUESTS, SECONDS, GATEWAY = (
    "model_requests_total",
    "model_request_seconds_bucket",
    "envoy_cluster_upstream_rq_xx",
)
LOOKS_BACK = "5m"
"""As far as Prometheus does by itself."""
Series = Mapping[tuple[str, ...], float]
"""The value of each series, by its name and labels."""


@dataclass(frozen=True)
class Look:
    """All counters of a model at one time."""

    series: Series = field(default_factory=dict)


class PrometheusAway(ClientError):
    """The counters cannot be read."""


def look(platform: Platform, model: str) -> Look:
    """Read the counters.

    Raises:
        PrometheusAway: Prometheus does not answer.
    """
    labels = f'namespace="{outputs.NAMESPACE_WORKLOADS}",model="{model}"'
    # Numbers only: what goes to a shadow is counted as `rule/0-mirror-0`, and is nobody's answer.
    rules = f'envoy_cluster_name=~"httproute/{outputs.NAMESPACE_WORKLOADS}/{model}/rule/[0-9]+"'
    selectors = (f"{REQUESTS}{{{labels}}}", f"{SECONDS}{{{labels}}}", f"{GATEWAY}{{{rules}}}")
    # A scrape that fails hides a series until the next one: back again, all of it would pass for new.
    queries = [f"last_over_time({selector}[{LOOKS_BACK}])" for selector in selectors]
    try:
        answers = [platform.prometheus("query", query=query)["result"] for query in queries]
    except httpx.HTTPError as error:
        raise PrometheusAway(
            f"Prometheus does not answer, and what {model} does is known from nothing else: {error}",
            f"see its pods: kubectl -n {outputs.NAMESPACE_MONITORING} get pods",
        ) from error
    return Look({_key(entry["metric"]): float(entry["value"][1]) for answer in answers for entry in answer})


def _key(metric: Mapping[str, str]) -> tuple[str, ...]:
    """Name, version (or code class), code, edge, and all that tells one server's series from another's."""
    rest = sorted(
        f"{name}={value}" for name, value in metric.items() if name not in ("version", "code", "le")
    )
    named = (metric["__name__"], metric.get("version", ""), metric.get("code", ""), metric.get("le", ""))
    return (*named, *rest)


def since(before: Look, now: Look, version: str) -> Counts:
    """What a version did between two looks.

    A counter that fell began anew with its server; one that is new began at nothing.
    """
    requests = failed = refused = 0
    within: dict[float, int] = {}
    for key, more in _growth(before, now):
        name, of, code, edge, *_ = key
        if of != version:
            continue
        if name == REQUESTS:
            requests += more
            failed += more if code.startswith("5") else 0
            refused += more if code.startswith("4") else 0
        elif name == SECONDS:
            at = math.inf if edge == "+Inf" else float(edge)
            within[at] = within.get(at, 0) + more
    return Counts(requests, failed, refused, within)


def at_the_gateway(before: Look, now: Look) -> tuple[int, int] | None:
    """`(answers, 5xx among them)` that the Gateway got from the versions or gave in their place.

    None where its counters are not read by Prometheus.
    """
    if not any(key[0] == GATEWAY for key in now.series):
        return None
    answers = failed = 0
    for key, more in _growth(before, now):
        if key[0] == GATEWAY:
            answers += more
            failed += more if "envoy_response_code_class=5" in key else 0
    return answers, failed


def _growth(before: Look, now: Look) -> Iterable[tuple[tuple[str, ...], int]]:
    for key, value in now.series.items():
        earlier = before.series.get(key, 0.0)
        yield key, round(value - earlier if value >= earlier else value)


OUTCOMES = """
SELECT version, count(*), count(*) FILTER (WHERE NOT hit) FROM scored
WHERE model = %s AND version = ANY(%s) AND experiment IS NULL AND at >= %s GROUP BY version
"""


def outcomes(platform: Platform, model: str, versions: list[str], began: str) -> dict[str, tuple[int, int]]:
    """`(known, wrong)` of each version's decisions since `began` (ISO 8601); empty where there is no log."""
    import psycopg

    if "BOOKINGS_DATABASE" not in platform.access:
        return {}
    try:
        with platform.bookings() as database:
            rows: list[Any] = database.execute(OUTCOMES, [model, versions, began]).fetchall()
    except psycopg.errors.UndefinedTable:
        return {}
    return {version: (known, wrong) for version, known, wrong in rows}
