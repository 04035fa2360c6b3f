"""The figures of versions: those of the views and of the window against NumPy on the same rows."""

import json
from dataclasses import astuple, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.unit.lake import Lake
from workloads.ship_predictions import config, quality
from workloads.ship_predictions.quality import Figures, wilson
from workloads.ship_predictions.tables import OUTCOMES, PREDICTIONS, TABLES

SETTINGS = config.reference()
NOW = datetime.now(UTC).replace(microsecond=0)
COLUMNS = [
    "n",
    "known",
    "accuracy",
    "precision",
    "recall",
    "brier",
    "calibration_error",
    "hits",
    "known_before",
]


def rows(count: int = 3000, seed: int = 7) -> pd.DataFrame:
    """Predictions of two versions over three days; of a third nothing came of, some outcomes are between 0
    and 1, and some came before their prediction.
    """
    dice = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            "request_id": [f"r-{number}" for number in range(count)],
            "at": [NOW - timedelta(hours=float(hour)) for hour in dice.uniform(0, 60, count)],
            "version": dice.choice(["3", "4"], count, p=[0.9, 0.1]),
            "carrier": dice.choice(["UA", "AA", "OO"], count, p=[0.6, 0.395, 0.005]),
            "origin": dice.choice(["EWR", "JFK"], count),
            "hour": dice.integers(0, 24, count),
            "score": np.round(dice.beta(1, 2, count), 3),
        }
    )
    late = dice.random(count) < made.score * 0.8 + 0.1
    made["outcome"] = np.where(late, 1.0, 0.0)
    made.loc[dice.random(count) < 0.02, "outcome"] = 0.5
    made.loc[dice.random(count) < 0.33, "outcome"] = np.nan
    made["early"] = dice.random(count) < 0.05
    made["decision"] = np.where(made.score >= 0.5, "rebooking", "insurance")
    made.loc[:4, "score"] = [0.0, 1.0, 0.1, 0.3, 0.999]
    return made


def lake_of(frame: pd.DataFrame) -> Lake:
    lake = Lake("")
    lake.run(f"CREATE SCHEMA IF NOT EXISTS {SETTINGS.place}")
    for table in TABLES:
        lake.run(table.create_sql(SETTINGS))
    predictions, outcomes = [], []
    for row in frame.itertuples():
        features = {"carrier": row.carrier, "origin": row.origin, "hour": row.hour}
        named = {
            "xid": 1, "request_id": row.request_id, "at": row.at, "model": "delay", "version": row.version,
            "user_key": "u", "features": json.dumps(features, default=int), "score": row.score,
            "decision": row.decision, "price": 1,
        }  # fmt: skip
        predictions.append([named.get(name) for name in PREDICTIONS.columns])
        if not np.isnan(row.outcome):
            told = row.at + timedelta(hours=-1 if row.early else 1)
            named = {
                "xid": 1, "request_id": row.request_id, "at": told, "outcome": row.outcome, "source": "s",
                "predicted_at": row.at, "corrections": 0, "tenant": None,
            }  # fmt: skip
            outcomes.append([named[name] for name in OUTCOMES.columns])
    for table, values in ((PREDICTIONS, predictions), (OUTCOMES, outcomes)):
        frame = pd.DataFrame(values, columns=list(table.columns)).astype({"xid": "int64"})
        lake.database.register("given", frame)
        lake.database.execute(f"INSERT INTO iceberg.feedback.{table.name} SELECT * FROM given")
    quality.make_views(lake, SETTINGS)
    return lake


def expected(frame: pd.DataFrame, least: int = SETTINGS.least) -> dict[str, Any]:
    """The figures by NumPy, from their definitions."""
    known = frame[frame.outcome.notna()]
    called, late = (known.decision == "rebooking").to_numpy(), (known.outcome >= 0.5).to_numpy()
    score, outcome = known.score.to_numpy(), known.outcome.to_numpy()
    tenths = np.minimum((score * 10).astype(int), 9)
    gaps = [
        np.sum(tenths == tenth) * abs(score[tenths == tenth].mean() - outcome[tenths == tenth].mean())
        for tenth in np.unique(tenths)
    ]

    def given(value: Any, rests_on: int) -> float | None:
        return float(value()) if rests_on >= least else None

    return {
        "n": len(frame),
        "known": len(known),
        "accuracy": given(lambda: np.mean(called == late), len(known)),
        "precision": given(lambda: np.mean(late[called]), int(called.sum())),
        "recall": given(lambda: np.mean(called[late]), int(late.sum())),
        "brier": given(lambda: np.mean((score - outcome) ** 2), len(known)),
        "calibration_error": given(lambda: sum(gaps) / len(known), len(known)),
        "hits": int(np.sum(called == late)),
        "known_before": int(known.early.sum()),
    }


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return rows()


@pytest.fixture(scope="module")
def lake(frame: pd.DataFrame) -> Lake:
    return lake_of(frame)


def in_utc_days(frame: pd.DataFrame) -> pd.DataFrame:
    hours = pd.cut(frame.hour, [-1, 5, 11, 17, 23], labels=["00-05", "06-11", "12-17", "18-23"]).astype(str)
    return frame.assign(day=[at.date() for at in frame["at"]], hours=hours, all="all")


@pytest.mark.parametrize("segment", ["all", "carrier", "origin", "hours"])
def test_each_figure_of_each_segment_is_that_of_numpy(lake: Lake, frame: pd.DataFrame, segment: str) -> None:
    columns = ", ".join(f'"{name}"' for name in COLUMNS)
    found = lake.rows(
        f"SELECT version, day, member, {columns} FROM iceberg.feedback.live_quality "
        f"WHERE segment = '{segment}'"
    )
    groups = dict(list(in_utc_days(frame).groupby(["version", "day", segment])))
    assert len(found) == len(groups) > 3
    nothing = 0
    for version, day, member, *figures in found:
        wanted = expected(groups[version, day, member])
        assert dict(zip(COLUMNS, figures, strict=True)) == pytest.approx(wanted, abs=1e-12)
        nothing += figures.count(None)
    assert nothing or segment == "origin", "some segment is too small for a figure"


def test_the_window_has_the_figures_of_each_version(lake: Lake, frame: pd.DataFrame) -> None:
    found = quality.window(lake, SETTINGS)
    whole = [each for each in found if each.segment == quality.ALL]
    assert [(each.version, each.member) for each in whole] == [("3", "all"), ("4", "all")]
    groups = in_utc_days(frame)
    for each in found:
        wanted = expected(groups[(groups.version == each.version) & (groups[each.segment] == each.member)])
        assert astuple(each)[4:] == pytest.approx(tuple(wanted.values()), abs=1e-12)
    assert all(each.known_before > 0 for each in whole)
    of_three = [(each.segment, each.member) for each in found if each.version == "3"]
    assert sorted(of_three[1:]) == [
        *(("carrier", each) for each in ("AA", "UA")),
        *(("hours", each) for each in ("00-05", "06-11", "12-17", "18-23")),
        *(("origin", each) for each in ("EWR", "JFK")),
    ], "OO has too few outcomes for a figure"


def test_metrics_tell_of_no_more_members_than_is_set() -> None:
    """Those with the most outcomes, of each version and segment; the views have the others."""

    def figures(version: str, member: str, known: int, segment: str = "carrier") -> Figures:
        share = 0.5 if known >= SETTINGS.least else None
        return Figures("delay", version, segment, member, 900, known, share, None, None, None, None, 9, 0)

    many = [figures("3", f"C{number}", 100 + number) for number in range(5)]
    whole = figures("3", "all", 0, "all")
    other = [figures("4", "C0", 30), figures("3", "EWR", 40, "origin"), figures("4", "C1", 29)]
    kept = quality.bounded([whole, *many, *other], replace(SETTINGS, segment_members=2))
    assert kept == [whole, many[4], many[3], *other[:2]]
    assert quality.bounded([*many, whole], replace(SETTINGS, segment_members=0)) == [whole]


def test_the_window_moves(lake: Lake, frame: pd.DataFrame) -> None:
    later = NOW + timedelta(days=SETTINGS.window_days) - timedelta(hours=20)
    within = frame[frame["at"] >= later - timedelta(days=SETTINGS.window_days)]
    found = {row[1]: row[4] for row in lake.run(quality.window_sql(SETTINGS, later)) if row[2] == "all"}
    assert found == dict(within.groupby("version").size())
    assert 0 < len(within) < len(frame)


def test_calibration_is_told_by_tenth_of_the_score(lake: Lake, frame: pd.DataFrame) -> None:
    found = lake.rows(
        "SELECT tenth, sum(known), sum(score_sum), sum(outcome_sum), min(mean_score), max(share_late) "
        "FROM iceberg.feedback.live_calibration WHERE segment = 'all' AND version = '3' "
        "GROUP BY tenth ORDER BY tenth"
    )
    known = frame[(frame.version == "3") & frame.outcome.notna()]
    tenths = np.minimum((known.score * 10).astype(int), 9)
    assert [row[0] for row in found] == sorted(set(tenths)) == list(range(10))
    for tenth, count, scores, outcomes, mean_score, _ in found:
        group = known[tenths == tenth]
        assert (count, scores, outcomes) == pytest.approx(
            (len(group), group.score.sum(), group.outcome.sum()), abs=1e-9
        )
        if mean_score is not None:
            assert tenth / 10 <= mean_score <= (tenth + 1) / 10


def test_features_that_are_not_there_are_a_segment_of_their_own() -> None:
    frame = rows(40).assign(carrier=None, hour=None)
    lake = lake_of(frame)
    found = lake.rows(
        "SELECT DISTINCT segment, member FROM iceberg.feedback.live_quality "
        "WHERE segment IN ('carrier', 'hours')"
    )
    assert sorted(found) == [("carrier", "unknown"), ("hours", "unknown")]


def test_an_outcome_belongs_to_the_prediction_of_its_time() -> None:
    """An id that left the log was asked anew."""
    frame = rows(40).head(2).assign(request_id="r-1", outcome=[1.0, np.nan])
    lake = lake_of(frame)
    scores = lake.rows('SELECT "outcome" FROM iceberg.feedback.live_scores ORDER BY "outcome" NULLS LAST')
    assert scores == [(1.0,), (None,)]


@pytest.mark.parametrize(("hits", "known"), [(0, 1), (1, 1), (150, 200), (199, 200), (7, 9)])
def test_wilsons_interval_is_that_of_scipy(hits: int, known: int) -> None:
    theirs = stats.binomtest(hits, known).proportion_ci(0.95, method="wilson")
    assert wilson(hits, known) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_of_no_outcome_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    none = Figures("delay", "3", "all", "all", 10, 0, None, None, None, None, None, 0, 0)
    assert quality._figures(astuple(none)) == none
