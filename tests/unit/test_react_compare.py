"""Whether one version is better than another: on the same flights, by days."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pandas as pd
import pytest

from react import compare as comparing
from react.compare import Comparison, Incomparable, Tested, compare, interval, loss
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


def scored(rows: pd.DataFrame, score: Any) -> pd.DataFrame:
    return rows.assign(late_probability=np.clip(score, 0, 1).astype(np.float32))


def both(new: pd.DataFrame, old: pd.DataFrame) -> Tested:
    return Tested(new, old, 15, "delay-c/3")


def test_the_better_version_is_found_and_the_worse_one_is_not() -> None:
    rows = flights()
    true = rows["late_probability"].to_numpy()
    good, bad = scored(rows, true), scored(rows, np.full(len(rows), 0.25))
    found = compare(both(good, bad))
    assert found.better(0)
    assert not found.better(0.2)
    assert found.new_loss < found.old_loss
    assert found.difference == pytest.approx(found.new_loss - found.old_loss)
    assert (found.flights, found.days) == (DAYS * A_DAY, DAYS)
    back = compare(both(bad, good))
    assert not back.better(0)
    assert back.low > 0
    assert "on 6200 flights of 31 days" in str(back)


def test_an_interval_that_holds_0_shows_nothing() -> None:
    assert not Comparison(-0.01, -0.03, 0.01, 1000, 31, 0.30, 0.31).better(0)
    assert Comparison(-0.02, -0.03, -0.01, 1000, 31, 0.30, 0.32).better(0)


def test_the_same_version_twice_is_not_better() -> None:
    rows = flights()
    found = compare(both(scored(rows, 0.3), scored(rows, 0.3)))
    assert (found.difference, found.low, found.high) == (0, 0, 0)
    assert not found.better(0)


def test_the_order_of_the_flights_does_not_matter() -> None:
    rows = flights()
    one, other = scored(rows, rows["late_probability"]), scored(rows, 0.25)
    shuffled = other.sample(frac=1, random_state=1)
    assert compare(both(one, shuffled)) == compare(both(one, other))


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
        compare(both(scored(rows, 0.3), scored(change(rows), 0.3)))


def test_few_days_are_no_comparison_and_what_is_late_is_what_the_training_says() -> None:
    rows = flights()
    few = rows[rows["day"] <= 19]
    with pytest.raises(Incomparable, match="19 days are too few"):
        compare(both(scored(few, 0.3), scored(few, 0.3)))
    found = both(scored(rows, 0.9), scored(rows, 0.1))
    assert compare(found).low > 0
    assert compare(replace(found, late_minutes=-1)).high < 0, "then every flight is late"


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
    said = {"late_minutes": 15, "against": {"version": "delay-c/3", "metrics": {}}}
    (files / "evaluation.json").write_text(json.dumps(said))
    new, old = scored(rows, 0.3), scored(rows, 0.4)
    new.to_parquet(files / "predictions.parquet", index=False)
    old.to_parquet(files / "predictions_against.parquet", index=False)
    server = Some(
        list_artifacts=lambda run: [Some(path=each.name) for each in files.iterdir()],
        download_artifacts=lambda run, name, folder: str(files / name),
    )
    found = comparing.tested(Some(mlflow=lambda: server), "r1")  # type: ignore[arg-type]
    assert (found.late_minutes, found.against) == (15, "delay-c/3")
    pd.testing.assert_frame_equal(found.new, new)
    pd.testing.assert_frame_equal(found.old, old)
    (files / "predictions_against.parquet").unlink()
    with pytest.raises(Incomparable, match=r"run r1 kept no predictions_against\.parquet"):
        comparing.tested(Some(mlflow=lambda: server), "r1")  # type: ignore[arg-type]
