"""What an A/B experiment says so far, read from the log of predictions and outcomes.

Users are divided, so a user is what is counted: the first prediction of each whose outcome is known. Requests
of one user are not independent of each other. (`every_request` counts all of them, and takes them as if they
were.)
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
from kubernetes import client as k8s

from client import evidence
from client.errors import ClientError
from client.evidence import Bools, Floats, Interval
from client.platform import Platform
from infra import outputs

METRICS = {
    "hit": "hit::int::float8",  # whether the decision was right
    "outcome": "outcome",  # whether the flight arrived late
    "score": "score",  # the risk that was foretold
    "price": "price::float8",
}
"""Columns of the view `scored`, as numbers."""
CONFIGURATION = "booking-api"
"""ConfigMap whose key EXPERIMENT describes the experiment that runs."""

_FIRST = """
SELECT variant, value FROM (
    SELECT DISTINCT ON (user_key) variant, {metric} AS value, known_at, request_id
    FROM scored WHERE experiment = %(name)s ORDER BY user_key, known_at, request_id
) AS first ORDER BY known_at, request_id
"""
_EVERY = """
SELECT variant, {metric} FROM scored WHERE experiment = %(name)s ORDER BY known_at, request_id
"""
_ASSIGNED = """
SELECT variant, count(DISTINCT user_key) FROM predictions WHERE experiment = %(name)s GROUP BY variant
"""
_CROSSED = """
SELECT count(*) FROM (
    SELECT FROM predictions WHERE experiment = %(name)s GROUP BY user_key HAVING count(DISTINCT variant) > 1
) AS crossed
"""
_NAMES = "SELECT DISTINCT experiment FROM predictions WHERE experiment IS NOT NULL ORDER BY experiment"

Verdict = Literal["higher", "lower", "equal", "undecided"]


@dataclass(frozen=True)
class Log:
    """What the log holds of one experiment."""

    arms: list[str]
    """Of each value, in the order in which they became known."""
    values: Floats
    assigned: dict[str, int]
    """Users by arm, with or without an outcome."""
    crossed: int
    """Users that were in more than one arm."""


@dataclass(frozen=True)
class Arm:
    """One arm so far."""

    name: str
    share: float
    """Of the users, as asked."""
    assigned: int
    scored: int
    mean: float | None
    interval: Interval | None
    """95 % of the mean, looked at once."""


@dataclass(frozen=True)
class Comparison:
    """An arm against the control: the difference of the means."""

    arm: str
    difference: float
    once: Interval
    """Holds if this is the only look, at a time that was fixed before."""
    always: Interval | None
    """Holds however often one looks; None while there are too few values."""
    verdict: Verdict


@dataclass(frozen=True)
class Report:
    """What may be said."""

    experiment: str
    metric: str
    control: str
    alpha: float
    expected: int
    arms: list[Arm]
    comparisons: list[Comparison]
    refusals: list[str] = field(default_factory=list)
    """Why nothing may be concluded; empty when it may."""

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of an experiment. All of it is to be settled before the first look.

    Raises:
        ClientError: a value does not fit.
    """

    name: str
    shares: Mapping[str, float]
    """Of the users, by arm; the first is the control."""
    metric: str = "hit"
    every_request: bool = False
    alpha: float = 0.05
    """How often equal arms may be called different, over all looks and arms."""
    expected: int = 2000
    """Values after which a difference is to be found, if there is one."""
    margin: float = 0.0
    """Arms whose difference is surely smaller are called equal; with 0 none are."""

    def __post_init__(self) -> None:
        shares = list(self.shares.values())
        if len(shares) < 2 or min(shares) <= 0 or not math.isclose(sum(shares), 1, abs_tol=1e-6):
            raise ClientError(
                f"the arms of experiment {self.name} are {dict(self.shares)}",
                "give at least two, with shares above 0 that add up to 1, for example stable=0.9,canary=0.1",
            )
        if self.metric not in METRICS:
            raise ClientError(f"there is no metric '{self.metric}'", f"use one of: {', '.join(METRICS)}")
        for name, fits in (
            ("alpha", 0 < self.alpha <= 0.5), ("expected", self.expected >= 1), ("margin", self.margin >= 0)
        ):  # fmt: skip
            if not fits:
                raise ClientError(
                    f"{name} is {getattr(self, name)}",
                    "alpha is above 0 and at most 0.5, expected at least 1, margin at least 0",
                )


def report(platform: Platform, question: Question) -> Report:
    """What the log of the platform answers.

    Raises:
        ClientError: the log has no such experiment.
    """
    with platform.bookings() as connection:
        return judge(question, read(connection, question))


def shares(platform: Platform, name: str) -> dict[str, float]:
    """The shares of the experiment that runs, as the booking service has them.

    Raises:
        ClientError: another one runs, or none.
    """
    try:
        found = platform.core.read_namespaced_config_map(CONFIGURATION, outputs.NAMESPACE_WORKLOADS)
        running = json.loads((found.data or {}).get("EXPERIMENT") or "{}")
    except k8s.ApiException as missing:
        if missing.status != 404:
            raise
        running = {}
    if running.get("name") != name:
        there = running.get("name", "none")
        raise ClientError(
            f"experiment {name} does not run now (what runs: {there}), so its shares are unknown",
            "name its arms as they were, the control first: --arms stable=0.5,canary=0.5",
        )
    return {arm: float(share) for arm, share in running["arms"].items()}


def read(connection: Any, question: Question) -> Log:
    """The experiment's part of the log, of one moment.

    Raises:
        ClientError: there is none.
    """
    given = {"name": question.name}
    values = (_EVERY if question.every_request else _FIRST).format(metric=METRICS[question.metric])
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        assigned = dict(connection.execute(_ASSIGNED, given).fetchall())
        if not assigned:
            known = ", ".join(name for (name,) in connection.execute(_NAMES).fetchall())
            raise ClientError(
                f"the log has no prediction of experiment {question.name}", f"it has: {known or 'none'}"
            )
        ((crossed,),) = connection.execute(_CROSSED, given).fetchall()
        rows = connection.execute(values, given).fetchall()
    found = np.array([value for _, value in rows], dtype=np.float64)
    return Log([arm for arm, _ in rows], found, assigned, crossed)


def judge(question: Question, log: Log) -> Report:
    """What the log says."""
    names = np.array(log.arms, dtype=object)
    control, *others = question.shares
    alpha = question.alpha / len(others)
    arms = [arm(question, log, name, log.values[names == name]) for name in question.shares]
    refused = refusals(question, log, {each.name: each.scored for each in arms})
    comparisons = [
        comparison(question, name, log.values[pair], names[pair] == name, alpha)
        for name in (() if refused else others)
        if (pair := (names == name) | (names == control)).any()
        and min(each.scored for each in arms if each.name in (name, control)) > 1
    ]
    return Report(
        question.name, question.metric, control, question.alpha, question.expected, arms, comparisons, refused
    )


def arm(question: Question, log: Log, name: str, values: Floats) -> Arm:
    """One arm's part."""
    return Arm(
        name=name,
        share=question.shares[name],
        assigned=log.assigned.get(name, 0),
        scored=values.size,
        mean=float(values.mean()) if values.size else None,
        interval=evidence.mean(values, question.alpha) if values.size > 1 else None,
    )


def comparison(question: Question, name: str, values: Floats, treated: Bools, alpha: float) -> Comparison:
    """An arm against the control, by their values in the order in which they became known."""
    own, rest = values[treated], values[~treated]
    share = question.shares[name] / (question.shares[name] + next(iter(question.shares.values())))
    low, high = evidence.sequence(treated, values, share, alpha=alpha, expected=question.expected)
    enough = bool(evidence.settled(treated, values)[-1])
    always = Interval(float(low[-1]), float(high[-1])) if enough else None
    once = evidence.difference(own, rest, alpha)
    return Comparison(name, float(own.mean() - rest.mean()), once, always, verdict(always, question.margin))


def verdict(always: Interval | None, margin: float) -> Verdict:
    """What an interval says that holds however often one looks."""
    if always is None:
        return "undecided"
    if -margin < always.low and always.high < margin:
        return "equal"
    if always.holds(0.0):
        return "undecided"
    return "higher" if always.low > 0 else "lower"


def refusals(question: Question, log: Log, scored: dict[str, int]) -> list[str]:
    """Why the arms cannot be compared at all."""
    found = []
    if unknown := sorted(log.assigned.keys() - question.shares.keys()):
        found.append(f"the log has arms that were not asked for: {', '.join(map(str, unknown))}")
    if log.crossed:
        found.append(
            f"{log.crossed} users were in more than one arm: the shares, or the name, were changed on the way"
        )
    users = {name: log.assigned.get(name, 0) for name in question.shares}
    counted = (
        {"users": users} if question.every_request else {"users": users, "users with an outcome": scored}
    )
    for what, counts in counted.items():
        if (
            sum(counts.values())
            and (p := evidence.mismatch(counts, dict(question.shares))) < evidence.MISMATCH
        ):
            told = ", ".join(f"{name} {count:,}" for name, count in counts.items())
            asked = ", ".join(f"{name} {share:g}" for name, share in question.shares.items())
            found.append(
                f"the {what} are not divided as asked ({told}; asked: {asked}; p = {p:.1g}): something that "
                "depends on the arm loses some of them"
            )
    return found
