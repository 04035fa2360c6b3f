"""Whether one version is better than another: on the same flights, by days."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pandas as pd
import pytest

from react import compare as comparing
from react.compare import Comparison, Incomparable, Scores, compare, interval, loss
from workloads.train_delay.features import KEY

DAYS, A_DAY = 31, 200


def flights(seed: int = 1) -> pd.DataFrame:
    """Days with good and bad weather, and the true chance of each flight as its score."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(1, DAYS + 1), A_DAY)
    chance = np.clip(rng.beta(1, 3, DAYS * A_DAY) + np.repeat(rng.normal(0, 0.1, DAYS), A_DAY), 0.01, 0.99)
    rows = pd.DataFrame(
        {
            "month": 7, "day": day, "sched_dep_time": np.tile(np.arange(A_DAY), DAYS), "carrier": "UA",
            "flight": 1, "origin": "EWR", "dest": "IAH",
            "arr_delay": np.where(rng.random(len(day)) < chance, 60.0, 0.0), "late_probability": chance,
        }
    )  # fmt: skip
    assert set(KEY) < set(rows)
    return rows


def scored(rows: pd.DataFrame, score: Any) -> Scores:
    return Scores(rows.assign(late_probability=np.clip(score, 0, 1).astype(np.float32)), 15)


def test_the_better_version_is_found_and_the_worse_one_is_not() -> None:
    rows = flights()
    true = rows["late_probability"].to_numpy()
    good, bad = scored(rows, true), scored(rows, np.full(len(rows), 0.25))
    found = compare(good, bad)
    assert found.better(0)
    assert not found.better(0.2)
    assert found.new_loss < found.old_loss
    assert found.difference == pytest.approx(found.new_loss - found.old_loss)
    assert (found.flights, found.days) == (DAYS * A_DAY, DAYS)
    back = compare(bad, good)
    assert not back.better(0)
    assert back.low > 0
    assert "on 6200 flights of 31 days" in str(back)


def test_an_interval_that_holds_0_shows_nothing() -> None:
    assert not Comparison(-0.01, -0.03, 0.01, 1000, 31, 0.30, 0.31).better(0)
    assert Comparison(-0.02, -0.03, -0.01, 1000, 31, 0.30, 0.32).better(0)


def test_the_same_version_twice_is_not_better() -> None:
    rows = flights()
    found = compare(scored(rows, 0.3), scored(rows, 0.3))
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert not found.better(0)


def test_the_order_of_the_flights_does_not_matter() -> None:
    rows = flights()
    one, other = scored(rows, rows["late_probability"]), scored(rows, 0.25)
    shuffled = replace(other, rows=other.rows.sample(frac=1, random_state=1))
    assert compare(one, shuffled) == compare(one, other)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda rows: rows.iloc[1:], "the same flights: 6200 flights of month 7 and 6199 flights of month 7"),
        (lambda rows: rows.assign(month=8), "flights of month 8"),
        (lambda rows: rows.assign(arr_delay=0.0), "the same flights"),
    ],
)
def test_other_flights_are_no_comparison(change: Any, words: str) -> None:
    rows = flights()
    with pytest.raises(Incomparable, match=words):
        compare(scored(rows, 0.3), scored(change(rows), 0.3))


def test_other_limits_and_few_days_are_no_comparison() -> None:
    rows = flights()
    with pytest.raises(Incomparable, match="late means over 15 minutes to one, 30 to the other"):
        compare(scored(rows, 0.3), replace(scored(rows, 0.3), late_minutes=30))
    few = rows[rows["day"] <= 19]
    with pytest.raises(Incomparable, match="19 days are too few"):
        compare(scored(few, 0.3), scored(few, 0.3))


def test_one_flight_that_was_foretold_with_certainty_does_not_decide_all() -> None:
    assert loss(np.array([True, False]), np.array([0.0, 1.0])).max() == pytest.approx(13.8155, abs=1e-3)


def test_equal_versions_are_rarely_called_better_and_would_often_be_if_flights_were_independent() -> None:
    """300 pairs that differ by chance, by day: 2.5 % are to be called better (seen: 4 %, by flights 28 %)."""
    rng = np.random.default_rng(2)
    by_days = by_flights = 0
    for _ in range(300):
        differences = np.repeat(rng.normal(0, 0.05, DAYS), A_DAY) + rng.normal(0, 0.2, DAYS * A_DAY)
        sums = differences.reshape(DAYS, A_DAY).sum(axis=1)
        by_days += interval(sums, np.full(DAYS, float(A_DAY)), draws=500)[1] < 0
        error = differences.std() / np.sqrt(differences.size)
        by_flights += differences.mean() + 1.96 * error < 0
    assert 1 <= by_days <= 18
    assert by_flights > 60


def test_what_a_training_kept_is_read_from_its_run(tmp_path: Path) -> None:
    rows = flights()
    files = tmp_path / "server"
    files.mkdir()
    (files / "evaluation.json").write_text('{"late_minutes": 15}')
    rows.to_parquet(files / "predictions.parquet", index=False)
    server = Some(
        list_artifacts=lambda run: [Some(path=each.name) for each in files.iterdir()],
        download_artifacts=lambda run, name, folder: str(files / name),
    )
    found = comparing.scores(Some(mlflow=lambda: server), "r1")  # type: ignore[arg-type]
    assert found.late_minutes == 15
    pd.testing.assert_frame_equal(found.rows, rows)
    (files / "predictions.parquet").unlink()
    with pytest.raises(Incomparable, match=r"run r1 kept no predictions\.parquet"):
        comparing.scores(Some(mlflow=lambda: server), "r1")  # type: ignore[arg-type]
