"""The shipper that the proofs put on the platform, what it has shipped, and figures computed from the
rows.
"""

import time
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from trino.exceptions import TrinoUserError

import client
import workloads
from client import Platform, outputs
from proofs import killed, probe
from proofs.booking import Booked
from workloads.generate_load import bookings
from workloads.ship_predictions import config, shipping
from workloads.ship_predictions.tables import TABLES, Table

NAME = "probe-ship"
SELECTOR = f"app.kubernetes.io/name={NAME}"
SETTINGS = replace(config.tiny(), schema="feedback_probe", every=1.0, batch=5000)
NOT_MADE_YET = ("SCHEMA_NOT_FOUND", "TABLE_NOT_FOUND")
"""What Trino says before the first round of the first shipper."""
PATIENCE = 240.0
"""Seconds within which what was told is in the lake."""
STAGED = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename ~ %s"

Rows = list[tuple[Any, ...]]


@contextmanager
def shipper(platform: Platform) -> Iterator[None]:
    """Ships meanwhile. The lake keeps what it has, so that the next one need not begin anew."""
    given = [f"{name}={getattr(SETTINGS, name)}" for name in ("schema", "every", "batch")]
    arguments = [word for each in given for word in ("--set", each)]
    image = probe.workload_image(platform)
    objects = workloads.manifest(
        "ship_predictions", image, name=NAME, config="tiny", arguments=arguments, **client.offers(platform)
    )
    client.delete_workloads(platform, NAME)
    client.deploy(platform, NAME, objects)
    try:
        yield
    finally:
        client.delete_workloads(platform, NAME)


def on_its_way(platform: Platform) -> bool:
    """Whether a batch is out of the log and perhaps not in the lake yet."""
    with platform.postgres() as staging:
        (count,) = staging.execute(STAGED, [shipping.OURS]).fetchone()
    return bool(count)


def kill(platform: Platform) -> int:
    """Kill the shipper in its pod; its exit code."""
    (pod,) = killed.pods(platform, SELECTOR)
    client.pods.execute(platform, pod, killed.KILL)
    return killed.ended(platform, pod)


# --- what is asked and told ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Told:
    """A quote, and what came of it."""

    request_id: str
    outcome: int


def ask(here: Booked, booked: Iterable[bookings.Booking]) -> Iterator[Told]:
    """Ask for a quote after the other. Of each third one it is not told what came of it.

    Raises:
        LookupError: a request was refused.
    """
    for number, each in enumerate(booked):
        told = quote(here, each)
        if number % 3:
            tell(here, [told])
        yield told


def quote(here: Booked, booked: bookings.Booking) -> Told:
    """Ask for one quote.

    Raises:
        LookupError: it was refused.
    """
    request_id = f"{NAME}-{uuid.uuid4()}"
    _answered(here.quote(request_id, booked.question))
    return Told(request_id, int(booked.late))


def tell(here: Booked, told: Sequence[Told]) -> dict[str, int]:
    """Tell what came of quotes, in one list; the answer: how many are `recorded`, and how many `unchanged`.

    Raises:
        LookupError: it was refused.
    """
    answer = here.http.post("/v1/outcomes", json=[outcome(each) for each in told])
    _answered(answer)
    counts: dict[str, int] = answer.json()
    return counts


def outcome(told: Told) -> dict[str, Any]:
    return {"request_id": told.request_id, "outcome": told.outcome, "source": "proof"}


def correct(here: Booked, told: Sequence[Told]) -> None:
    """Of each the contrary is so.

    Raises:
        LookupError: it was refused.
    """
    _answered(here.http.put("/v1/outcomes", json=[correction(each) for each in told]))


def correction(told: Told) -> dict[str, Any]:
    return {**outcome(told), "outcome": 1 - told.outcome, "reason": "a proof"}


def _answered(answer: Any) -> None:
    if answer.status_code != 200:
        raise LookupError(f"{answer.request.url.path} answered {answer.status_code}: {answer.text[:300]}")


# --- what clocks that differ write into the log -------------------------------------------------------------

SKEW = timedelta(hours=1)
"""By how much a clock is wrong, as one that takes another zone's time for its own."""
AHEAD = """
INSERT INTO predictions (request_id, at, tenant, model, version, user_key, features, score, decision, price)
SELECT request_id || '-ahead', at + %s, tenant, model, version, user_key, features, score, decision, price
FROM predictions WHERE request_id = ANY(%s)
"""
EARLY = """
INSERT INTO outcomes (request_id, at, outcome, source)
SELECT request_id, at - %s, %s, 'proof' FROM predictions WHERE request_id = %s
"""


def ahead(platform: Platform, told: Sequence[Told]) -> list[Told]:
    """Log the same predictions once more, of which nothing is told, as a server would whose clock is ahead:
    each lies in the future by SKEW.
    """
    with platform.bookings() as database:
        database.execute(AHEAD, [SKEW, [each.request_id for each in told]])
    return [replace(each, request_id=f"{each.request_id}-ahead") for each in told]


def early(platform: Platform, told: Sequence[Told]) -> None:
    """Log what came of predictions as a server would whose clock is behind: each was known SKEW before its
    prediction was made.
    """
    with platform.bookings() as database:
        for each in told:
            database.execute(EARLY, [SKEW, each.outcome, each.request_id])


# --- what is in the log and in the lake ---------------------------------------------------------------------


def settled(platform: Platform, told: Sequence[Told], patience: float = PATIENCE) -> dict[str, str]:
    """How the lake differs from the log, by table, after it had time; nothing where it does not."""
    deadline = time.monotonic() + patience
    while (found := differences(platform, told)) and time.monotonic() < deadline:
        time.sleep(1)
    return found


def differences(platform: Platform, told: Sequence[Told]) -> dict[str, str]:
    """The same, now."""
    ids = [each.request_id for each in told]
    found = {}
    for table in TABLES:
        there, here = Counter(_log(platform, table, ids)), Counter(_lake(platform, table, ids))
        if there != here:
            missing, strange = there - here, here - there
            found[table.name] = (
                f"{missing.total()} of {there.total()} rows are missing, {strange.total()} are strange: "
                f"{next(iter(missing or strange))}"
            )
    return found


def _log(platform: Platform, table: Table, ids: list[str]) -> Rows:
    with platform.bookings() as database:
        rows = database.execute(table.rows_sql("l.request_id = ANY(%s)"), [ids]).fetchall()
    return [_plain(row) for row in rows]


def _lake(platform: Platform, table: Table, ids: list[str]) -> Rows:
    columns = ", ".join(f'"{name}"' for name in table.columns)
    named = ", ".join(f"'{each}'" for each in ids)
    try:
        rows = platform.sql(
            f'SELECT {columns} FROM {SETTINGS.place}.{table.name} WHERE "request_id" IN ({named})'
        )
    except TrinoUserError as error:
        if error.error_name not in NOT_MADE_YET:
            raise
        return []
    return [_plain(row) for row in rows]


def _plain(row: Iterable[Any]) -> tuple[Any, ...]:
    """Times as seconds: each database gives them in a zone of its own."""
    return tuple(value.timestamp() if hasattr(value, "timestamp") else value for value in row)


def present(platform: Platform, told: Sequence[Told]) -> dict[str, float]:
    """The outcomes that the view `live_scores` has, by request id."""
    known = {name: rows[-1][0] for name, rows in scores(platform, told).items()}
    return {name: value for name, value in known.items() if value is not None}


Scores = dict[str, list[tuple[float | None, bool | None]]]


def scores(platform: Platform, told: Sequence[Told]) -> Scores:
    """What the view `live_scores` has, by request id: `(outcome, known_before)` of each of its rows."""
    named = ", ".join(f"'{each.request_id}'" for each in told)
    found: Scores = {}
    for request_id, value, before in platform.sql(
        f'SELECT "request_id", "outcome", "known_before" FROM {SETTINGS.place}.live_scores '
        f'WHERE "request_id" IN ({named})'
    ):
        found.setdefault(request_id, []).append((value, before))
    return found


# --- figures ------------------------------------------------------------------------------------------------


FIGURES = (
    "n", "known", "accuracy", "precision", "recall", "brier", "calibration_error", "known_before",
)  # fmt: skip
SCORED = """
SELECT p."at", json_extract_scalar(p."features", '$.origin'), p."score", p."decision", o."outcome",
    o."at" < p."at"
FROM {place}.predictions p LEFT JOIN {place}.outcomes o
    ON o."request_id" = p."request_id" AND o."predicted_at" = p."at"
WHERE p."model" = '{model}' AND p."version" = '{version}'
"""
TELLS = """
SELECT CAST("day" AS varchar), {figures} FROM {place}.live_quality
WHERE "model" = '{model}' AND "version" = '{version}' AND "segment" = 'all'
"""

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Row:
    """A prediction of the lake."""

    at: datetime
    origin: str
    score: float
    called: bool
    """It was called late."""
    outcome: float | None
    before: bool
    """Its outcome was known, by the clocks, before it was made."""


def rows(platform: Platform, model: str, version: str) -> list[Row]:
    """All predictions of a version that the lake has."""
    sql = SCORED.format(place=SETTINGS.place, model=model, version=version)
    return [
        Row(at, origin, score, decision == "rebooking", outcome, bool(before))
        for at, origin, score, decision, outcome, before in platform.sql(sql)
    ]


def by_day(found: Iterable[Row]) -> dict[str, list[Row]]:
    """By the day, in UTC, at which they were made."""
    days: dict[str, list[Row]] = {}
    for row in found:
        days.setdefault(row.at.astimezone(UTC).date().isoformat(), []).append(row)
    return days


def within_window(found: Iterable[Row]) -> list[Row]:
    """Those that metrics are of, now."""
    since = datetime.now(UTC) - timedelta(days=SETTINGS.window_days)
    return [row for row in found if row.at >= since]


def figures_of_view(platform: Platform, model: str, version: str) -> dict[str, Figures]:
    """A version's figures by day, as the view `live_quality` tells them."""
    names = ", ".join(f'"{name}"' for name in FIGURES)
    sql = TELLS.format(place=SETTINGS.place, model=model, version=version, figures=names)
    return {day: dict(zip(FIGURES, row, strict=True)) for day, *row in platform.sql(sql)}


def figures(found: Sequence[Row]) -> Figures:
    """Of these predictions, from the definitions."""
    known = [(row.score, row.called, row.outcome) for row in found if row.outcome is not None]
    called = [value >= 0.5 for _, said, value in known if said]
    late = [said for _, said, value in known if value >= 0.5]
    tenths: dict[int, list[float]] = {}
    for score, _, value in known:
        tenths.setdefault(min(int(score * 10), 9), []).append(score - value)

    def share(parts: Sequence[float]) -> float | None:
        return sum(parts) / len(parts) if len(parts) >= SETTINGS.least else None

    enough = len(known) >= SETTINGS.least
    return {
        "n": len(found),
        "known": len(known),
        "accuracy": share([said == (value >= 0.5) for _, said, value in known]),
        "precision": share(called),
        "recall": share(late),
        "brier": share([(score - value) ** 2 for score, _, value in known]),
        "calibration_error": sum(abs(sum(gap)) for gap in tenths.values()) / len(known) if enough else None,
        "known_before": sum(row.before for row in found),
    }


def near(ours: Figures, theirs: Figures) -> bool:
    """The same figures; sums are made in another order."""
    return all(
        value == theirs.get(name)
        if value is None or theirs.get(name) is None
        else abs(value - (theirs[name] or 0)) < 1e-9
        for name, value in ours.items()
    )


SEGMENT = "origin"
"""Of its members metrics are compared, too."""
ALL = ("all", "all")
"""Segment and member of a version as a whole."""
COMPARED = ("accuracy", "precision", "calibration_error")
TOLD = ("known", *COMPARED)
"""What metrics tell of a member of a segment; of a version as a whole also `known_before`."""
METRICS = {
    "live_outcomes": "known",
    "live_outcomes_before_prediction": "known_before",
    **{f"live_{name}": name for name in COMPARED},
    "live_segment_outcomes": "known",
    **{f"live_segment_{name}": name for name in COMPARED},
}
"""Figures by the names of their metrics."""

BySegment = dict[tuple[str, str], Figures]
"""By segment and member."""


def to_be_told(found: Sequence[Row]) -> BySegment:
    """What metrics have to say of these predictions: as a whole, and of each member that has a figure."""
    members: dict[str, list[Row]] = {}
    for row in found:
        members.setdefault(row.origin, []).append(row)
    whole = figures(found)
    told = {ALL: {name: whole[name] for name in (*TOLD, "known_before")}}
    for member, those in members.items():
        part = figures(those)
        if part["accuracy"] is not None:
            told[SEGMENT, member] = {name: part[name] for name in TOLD}
    return told


def watched(platform: Platform, model: str, version: str) -> BySegment:
    """What Prometheus says of a version; figures that it says nothing of are left out."""
    of = f'job="{outputs.NAMESPACE_WORKLOADS}/{NAME}",model="{model}",version="{version}"'
    query = f'max by (__name__, segment, member) ({{__name__=~"live_.+",{of}}})'
    told: BySegment = {}
    for each in platform.prometheus("query", query=query)["result"]:
        labels, figure = each["metric"], METRICS.get(each["metric"]["__name__"])
        place = (labels.get("segment", ALL[0]), labels.get("member", ALL[1]))
        if figure and place[0] in (ALL[0], SEGMENT):
            told.setdefault(place, {})[figure] = float(each["value"][1])
    return told


def agree(ours: BySegment, theirs: BySegment) -> bool:
    """The same segments with the same figures."""
    return set(ours) == set(theirs) and all(near(ours[place], theirs[place]) for place in ours)
