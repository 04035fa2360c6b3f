"""How good versions turn out to be: the views of the lake, and the figures of a window.

All figures are made of sums, which are taken once, by tenth of the score (`SUMS`), and added up (`FIGURES`).
A figure that rests on fewer than `least` rows is NULL: accuracy, Brier score and calibration on known
outcomes, precision on flights that were called late, recall on flights that were late.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from workloads.common import query
from workloads.ship_predictions.config import ShipPredictions
from workloads.ship_predictions.tables import stamp

Z = 1.959963984540054
"""Of the normal distribution: 95 % lie within."""
SCORES = """
SELECT
    p."request_id", p."at", CAST(p."at" AT TIME ZONE 'UTC' AS date) AS "day",
    p."tenant", p."model", p."version", p."experiment", p."variant", p."user_key",
    p."score", p."decision", p."price",
    json_extract_scalar(p."features", '$.carrier') AS "carrier",
    json_extract_scalar(p."features", '$.origin') AS "origin",
    TRY_CAST(json_extract_scalar(p."features", '$.hour') AS integer) AS "hour",
    o."outcome", o."source", o."at" AS "known_at", o."corrections",
    p."decision" = 'rebooking' AS "called",
    o."outcome" >= 0.5 AS "late",
    (p."decision" = 'rebooking') = (o."outcome" >= 0.5) AS "hit",
    o."at" < p."at" AS "known_before"
FROM {place}.predictions p
LEFT JOIN {place}.outcomes o ON o."request_id" = p."request_id" AND o."predicted_at" = p."at"
"""
"""Each prediction, with its present outcome where one is known. `called`: it was called late."""
SUMS = """
    count(*) AS "n",
    count("outcome") AS "known",
    count_if(coalesce("hit", false)) AS "hits",
    count_if("called" AND "late" IS NOT NULL) AS "called",
    count_if("called" AND "late") AS "caught",
    count_if("late") AS "late",
    count_if(coalesce("known_before", false)) AS "known_before",
    coalesce(sum(CASE WHEN "outcome" IS NOT NULL THEN "score" END), 0e0) AS "score_sum",
    coalesce(sum("outcome"), 0e0) AS "outcome_sum",
    coalesce(sum(("score" - "outcome") * ("score" - "outcome")), 0e0) AS "error_sum"
"""
FIGURES = """
    sum("n") AS "n",
    sum("known") AS "known",
    CASE WHEN sum("known") >= {least} THEN CAST(sum("hits") AS double) / sum("known") END AS "accuracy",
    CASE WHEN sum("called") >= {least} THEN CAST(sum("caught") AS double) / sum("called") END AS "precision",
    CASE WHEN sum("late") >= {least} THEN CAST(sum("caught") AS double) / sum("late") END AS "recall",
    CASE WHEN sum("known") >= {least} THEN sum("error_sum") / sum("known") END AS "brier",
    CASE WHEN sum("known") >= {least} THEN sum(abs("score_sum" - "outcome_sum")) / sum("known") END
        AS "calibration_error",
    sum("hits") AS "hits",
    sum("known_before") AS "known_before"
"""
SEGMENT = """
    CASE WHEN grouping("carrier") = 0 THEN 'carrier' WHEN grouping("origin") = 0 THEN 'origin'
        WHEN grouping("hours") = 0 THEN 'hours' ELSE 'all' END AS "segment",
    coalesce("carrier", "origin", "hours", 'all') AS "member",
    "tenth"
"""
"""Which predictions a row sums up: those of a `member` of the `segment`, or `all`."""
SEGMENTED = """
    "model", "version", "score", "outcome", "hit", "called", "late", "known_before",
    least(CAST(floor("score" * 10) AS integer), 9) AS "tenth",
    coalesce("carrier", 'unknown') AS "carrier",
    coalesce("origin", 'unknown') AS "origin",
    CASE WHEN "hour" < 6 THEN '00-05' WHEN "hour" < 12 THEN '06-11' WHEN "hour" < 18 THEN '12-17'
        WHEN "hour" < 24 THEN '18-23' ELSE 'unknown' END AS "hours"
"""
"""What is read of a prediction, with a name for each segment."""
CALIBRATION = """
SELECT
    "model", "version", "day", {segment}, {sums},
    CASE WHEN count("outcome") >= {least} THEN avg(CASE WHEN "outcome" IS NOT NULL THEN "score" END) END
        AS "mean_score",
    CASE WHEN count("outcome") >= {least} THEN avg("outcome") END AS "share_late"
FROM (SELECT "day", {segmented} FROM {place}.live_scores) AS scores
GROUP BY GROUPING SETS (
    ("model", "version", "day", "tenth"), ("model", "version", "day", "tenth", "carrier"),
    ("model", "version", "day", "tenth", "origin"), ("model", "version", "day", "tenth", "hours")
)
"""
"""By version, day, segment and tenth of the score: mean score against share late, and the sums behind it."""
QUALITY = """
SELECT "model", "version", "day", "segment", "member", {figures}
FROM {place}.live_calibration GROUP BY "model", "version", "day", "segment", "member"
"""
WINDOW = """
SELECT "model", "version", "segment", "member", {figures}
FROM (
    SELECT "model", "version", {segment}, {sums}
    FROM (
        SELECT {segmented} FROM {place}.live_scores
        WHERE "at" >= CAST('{since}' AS timestamp(6) with time zone)
    ) AS scores
    GROUP BY GROUPING SETS (
        ("model", "version", "tenth"), ("model", "version", "tenth", "carrier"),
        ("model", "version", "tenth", "origin"), ("model", "version", "tenth", "hours")
    )
) AS sums
GROUP BY "model", "version", "segment", "member" ORDER BY "model", "version", "segment", "member"
"""
ALL = "all"
"""The segment of all predictions, and its one member."""


@dataclass(frozen=True)
class Figures:
    """What is known of a version, on a segment; figures are None where they would rest on too few rows."""

    model: str
    version: str
    segment: str
    """`all`, `carrier`, `origin` or `hours`."""
    member: str
    """Which of the segment: `UA`, `EWR`, `06-11`."""
    n: int
    known: int
    accuracy: float | None
    precision: float | None
    recall: float | None
    brier: float | None
    """Mean squared difference of score and outcome: 0 is best."""
    calibration_error: float | None
    """Mean over the known outcomes of |mean score - share late| of their tenth of the score."""
    hits: int
    known_before: int
    """Outcomes that, by the clocks, were known before their prediction was made. They count."""


def views(settings: ShipPredictions) -> dict[str, str]:
    """The definition of each view, by name, in the order in which they rest on each other."""
    parts = _parts(settings)
    texts = {"live_scores": SCORES, "live_calibration": CALIBRATION, "live_quality": QUALITY}
    return {name: text.format(**parts).strip() for name, text in texts.items()}


def _parts(settings: ShipPredictions) -> dict[str, Any]:
    """What the texts have in common."""
    return {
        "place": settings.place,
        "least": settings.least,
        "sums": SUMS,
        "segment": SEGMENT,
        "segmented": SEGMENTED,
        "figures": FIGURES.format(least=settings.least),
    }


def make_views(trino: Any, settings: ShipPredictions) -> None:
    for name, text in views(settings).items():
        query(trino, f"CREATE OR REPLACE VIEW {settings.place}.{name} AS {text}")


def window_sql(settings: ShipPredictions, now: datetime) -> str:
    """The figures of each version and member of a segment over the predictions of the last `window_days`."""
    since = stamp(now - timedelta(days=settings.window_days))
    return WINDOW.format(**_parts(settings), since=since).strip()


def window(trino: Any, settings: ShipPredictions) -> list[Figures]:
    """Each version's figures, now, and those of its segments that are told."""
    found = [_figures(row) for row in query(trino, window_sql(settings, datetime.now(UTC)))]
    return bounded(found, settings)


def bounded(found: Sequence[Figures], settings: ShipPredictions) -> list[Figures]:
    """All figures of versions, and of each version's segments those of the `segment_members` members with the
    most known outcomes, as far as they have a figure. What is asked about comes from outside: metrics must
    not grow with it.
    """
    kept = [each for each in found if each.segment == ALL]
    segments: dict[tuple[str, ...], list[Figures]] = {}
    for each in found:
        if each.segment != ALL and each.accuracy is not None:
            segments.setdefault((each.model, each.version, each.segment), []).append(each)
    for members in segments.values():
        members.sort(key=lambda each: (-each.known, each.member))
        kept += members[: settings.segment_members]
    return kept


def _figures(row: Sequence[Any]) -> Figures:
    """Of a row of WINDOW."""
    model, version, segment, member, n, known, *shares, hits, before = row
    accuracy, precision, recall, brier, calibration = (
        None if share is None else float(share) for share in shares
    )
    of = (model, version, segment, member)
    return Figures(*of, n, known, accuracy, precision, recall, brier, calibration, hits, before)


def wilson(hits: int, known: int) -> tuple[float, float]:
    """Wilson's interval of a share, at 95 %."""
    if not known:
        return 0.0, 1.0
    share, square = hits / known, Z * Z
    middle = (share + square / (2 * known)) / (1 + square / known)
    reach = Z / (1 + square / known) * math.sqrt(share * (1 - share) / known + square / (4 * known * known))
    return max(middle - reach, 0.0), min(middle + reach, 1.0)
