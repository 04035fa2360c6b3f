"""Change detectors on streams that change, and on the flights' own hours, where nothing does.

What the detectors are made of was chosen on other seeds than those of these tests.
"""

from functools import cache

import numpy as np
import pandas as pd
import pytest

from tests.unit import real_flights
from workloads.common import HopelessError
from workloads.watch_drift.days import UsualDays, alarms, streams
from workloads.watch_drift.detectors import DETECTORS, OF_DAYS, Detector, detector
from workloads.watch_drift.e_detector import LAMBDAS, EDetector
from workloads.watch_drift.stream import Streams
from workloads.watch_drift.usual import UsualNumber, UsualRate, surprises

pytest.importorskip("river")
FRESH = 4_711_000
"""Seeds of these tests begin here."""


@cache
def landed() -> pd.DataFrame:
    rows = real_flights.flights().dropna(subset=["arr_delay"])
    return rows.assign(late=(rows["arr_delay"] > 15).astype(float)).reset_index(drop=True)


@cache
def reference() -> pd.DataFrame:
    return landed()[landed()["month"] <= 6]


@cache
def usual_delay() -> UsualNumber:
    return UsualNumber.learn(reference()["dep_delay"], reference()["hour"])


def first(of: Detector, values: np.ndarray) -> int | None:
    """After how many events it raised the first alarm."""
    return next((number for number, value in enumerate(values, 1) if of.update(float(value))), None)


# --- what is usual ------------------------------------------------------------------------------------------


def test_surprises_of_a_number_are_uniform_at_every_hour() -> None:
    dice = np.random.default_rng(FRESH)
    rows = reference().iloc[dice.permutation(len(reference()))[:20_000]]
    found = surprises(usual_delay(), rows["dep_delay"].to_numpy(dtype=float), rows["hour"].to_numpy(), dice)
    assert -1 <= found.min() < found.max() <= 1
    assert found.mean() == pytest.approx(0, abs=0.02)
    assert found.var() == pytest.approx(1 / 3, abs=0.01)
    for hour in (6, 12, 20):
        assert found[(rows["hour"] == hour).to_numpy()].mean() == pytest.approx(0, abs=0.08)


def test_a_value_beyond_all_that_was_seen_is_the_largest_surprise() -> None:
    assert usual_delay().surprise(1e6, 12, 0.5) == 1
    assert usual_delay().surprise(-1e6, 12, 0.5) == -1
    assert usual_delay().surprise(0.0, 99, 0.5) == pytest.approx(usual_delay().surprise(0.0, -1, 0.5)), (
        "hours that were not seen go by all of them"
    )


def test_the_rate_of_an_hour_is_never_0_or_1_and_an_empty_reference_is_refused() -> None:
    usual = UsualRate.learn(pd.Series([0.0] * 200), pd.Series([3] * 200))
    assert 0 < usual.rates[3] < 0.01
    assert usual.surprise(1.0, 3) > 0.99
    with pytest.raises(HopelessError, match="nothing happened in the reference"):
        UsualRate.learn(pd.Series([], dtype=float), pd.Series([], dtype=float))


# --- alive --------------------------------------------------------------------------------------------------


def moved_delays(seed: int) -> np.ndarray:
    """Surprises of delays that are half a deviation more after 3000 events as ever."""
    values = reference()["dep_delay"].to_numpy(dtype=float)
    hours = reference()["hour"].to_numpy()
    dice = np.random.default_rng([FRESH, seed])
    chosen = dice.integers(len(values), size=3500)
    moved = values[chosen] + np.where(np.arange(3500) < 3000, 0, 0.5 * values.std())
    return surprises(usual_delay(), moved, hours[chosen], dice)


@pytest.mark.parametrize("name", ["e", "adwin"])
def test_a_moved_mean_is_seen_within_500_events(name: str) -> None:
    for seed in range(10):
        found = first(detector(name), moved_delays(seed))
        assert found is not None, seed
        assert 3000 < found <= 3500, seed


def test_page_hinkley_sees_a_moved_mean_within_500_events_and_at_times_what_is_none() -> None:
    before = 0
    for seed in range(10):
        of = detector("page_hinkley")
        found = [number for number, value in enumerate(moved_delays(seed), 1) if of.update(float(value))]
        assert any(3000 < number <= 3500 for number in found), seed
        before += sum(number <= 3000 for number in found)
    assert before > 0, "docs/explanation/drift.md says so"


@pytest.mark.parametrize("seed", range(4))
def test_kswin_sees_a_spread_that_leaves_the_mean_alone(seed: int) -> None:
    """And nothing in 1000 events before it."""
    dice = np.random.default_rng([FRESH, seed])
    values = np.concatenate([dice.uniform(-1, 1, 1000), dice.choice([-1.0, 1.0], 500)])
    found = first(detector("kswin"), values)
    assert found is not None
    assert 1000 < found <= 1500


def bernoulli(seed: int, before: int, after: int, rate: float = 0.1) -> np.ndarray:
    """Of a rate that doubles, less the rate."""
    dice = np.random.default_rng([FRESH, seed])
    return np.concatenate([dice.random(before) < rate, dice.random(after) < 2 * rate]) - rate


def delays(rate: float) -> list[int]:
    """Events until a rate that has doubled after 5000 of them is seen; of 40 streams."""
    found = [first(EDetector(), bernoulli(seed, 5000, 3000, rate)) for seed in range(40)]
    seen = [each - 5000 for each in found if each is not None]
    assert len(seen) == 40, "none was missed"
    assert min(seen) > 0, "none came before the change"
    return seen


def test_a_rate_like_that_of_late_flights_that_doubles_is_seen_within_500_events() -> None:
    assert reference()["late"].mean() > 0.2
    assert max(delays(0.2)) <= 500


def test_a_rate_of_a_tenth_that_doubles_takes_more_than_500_events_now_and_then() -> None:
    seen = delays(0.1)
    assert np.median(seen) < 350
    assert np.quantile(seen, 0.9) < 550


def test_a_change_that_was_there_from_the_first_event_is_seen_by_who_knows_what_is_usual() -> None:
    """ADWIN has nothing to compare it with."""
    shifted = [bernoulli(seed, 0, 3000) for seed in range(5)]
    assert all((first(EDetector(), values) or 9999) < 700 for values in shifted)
    assert [first(detector("adwin"), values) for values in shifted] == [None] * 5


def test_false_alarms_come_no_more_often_than_promised() -> None:
    """One in 10,000 events or less, so 20 or fewer are expected, and by chance more than 35 once in 1000."""
    of, count = EDetector(events=10_000), 0
    for value in np.random.default_rng(FRESH).random(200_000) < 0.1:
        count += of.update(float(value) - 0.1)
    assert count <= 35


def test_every_stake_keeps_the_sum_positive_and_fair() -> None:
    assert all(abs(stake) < 1 for stake in LAMBDAS)
    assert sum(LAMBDAS) == pytest.approx(0), "a rise and a fall are the same to it"
    with pytest.raises(ValueError, match="must be more than 1"):
        EDetector(1)


# --- silent on a season -------------------------------------------------------------------------------------


@cache
def seasonal() -> tuple[np.ndarray, np.ndarray]:
    """The flights' own hours in order, and outcomes drawn by the rate of the hour: a course over the day and
    nothing else. Raw, and as surprises.
    """
    usual = UsualRate.learn(reference()["late"], reference()["hour"])
    hours = reference()["hour"].to_numpy()
    rates = np.array([usual.rates.get(int(hour), usual.whole) for hour in hours])
    outcomes = (np.random.default_rng(FRESH).random(len(rates)) < rates).astype(float)
    surprising = [usual.surprise(x, int(h)) for x, h in zip(outcomes, hours, strict=True)]
    return outcomes, np.array(surprising)


@pytest.mark.parametrize("name", ["e", "adwin"])
def test_detectors_of_surprises_are_silent_on_a_season(name: str) -> None:
    assert first(detector(name), seasonal()[1]) is None


def test_kswin_on_surprises_of_numbers_is_silent_on_a_season_that_raw_it_calls_a_change() -> None:
    """Delays at departure, each drawn from those of its hour."""
    hours, values = reference()["hour"].to_numpy()[:6000], reference()["dep_delay"].to_numpy(dtype=float)
    dice = np.random.default_rng(FRESH)
    of_hour = {hour: values[reference()["hour"].to_numpy() == hour] for hour in np.unique(hours)}
    drawn = np.array([dice.choice(of_hour[hour]) for hour in hours])
    assert first(detector("kswin"), surprises(usual_delay(), drawn, hours, dice)) is None
    assert first(detector("kswin"), drawn) is not None


@pytest.mark.parametrize("name", ["adwin", "page_hinkley"])
def test_raw_a_season_is_an_alarm_in_most_weeks(name: str) -> None:
    """The trap."""
    of = detector(name)
    assert sum(of.update(float(value)) for value in seasonal()[0]) > 40


def test_page_hinkley_is_not_silent_on_surprises_of_outcomes_either() -> None:
    of = detector("page_hinkley")
    assert sum(of.update(float(value)) for value in seasonal()[1]) > 0


# --- days ---------------------------------------------------------------------------------------------------


def test_days_of_the_reference_are_silent_and_those_of_autumn_are_not() -> None:
    rows = landed()
    usual = UsualDays.learn(reference(), reference()["late"])
    found = alarms(usual, rows, rows["late"], streams(usual, ["e"]))["e"]
    assert [day for day in found if day < "07"] == []
    assert {"09", "10"} <= {day[:2] for day in found}


@cache
def usual_days() -> UsualDays:
    return UsualDays.learn(reference(), reference()["late"])


def calm_days(seed: int, count: int) -> pd.DataFrame:
    """So many days of the reference, five in a row from one that is drawn by lot, as days of July and on."""
    dice = np.random.default_rng([FRESH, seed])
    days = [day for _, day in reference().groupby(["month", "day"])]
    chosen = [
        days[start + more] for start in dice.integers(len(days) - 4, size=-(-count // 5)) for more in range(5)
    ]
    dates = pd.date_range("2013-07-01", periods=count)
    return pd.concat(
        day.assign(month=date.month, day=date.day) for day, date in zip(chosen, dates, strict=False)
    ).reset_index(drop=True)


@pytest.mark.parametrize("name", OF_DAYS)
def test_days_with_more_late_flights_are_seen_and_others_are_not(name: str) -> None:
    """Every tenth flight more is late, from the first day on."""
    alarmed = 0
    for seed in range(5):
        rows = calm_days(seed, 120)
        alarmed += bool(alarms(usual_days(), rows, rows["late"], streams(usual_days(), [name]))[name])
        worse = rows["late"].where(np.arange(len(rows)) % 10 > 0, 1.0)
        found = alarms(usual_days(), rows, worse, streams(usual_days(), [name]))[name]
        assert found, seed
        assert found[0] < "09-15", seed
    assert alarmed <= 1


def test_flight_by_flight_every_storm_would_be_an_alarm() -> None:
    usual = UsualRate.learn(reference()["late"], reference()["hour"])
    of, rows = EDetector(), reference()
    real = [usual.surprise(x, int(h)) for x, h in zip(rows["late"], rows["hour"], strict=True)]
    assert sum(of.update(value) for value in real) > 100


# --- streams ------------------------------------------------------------------------------------------------


def test_each_stream_has_a_detector_of_its_own_and_keeps_its_alarms() -> None:
    streams = Streams(window=60, began=0, make=lambda: EDetector(1000))
    for at in range(200):
        streams.update("calm", 0.0, at)
        streams.update("risen", 1.0 if at > 100 else 0.0, at)
    assert streams.streams["calm"].alarms == []
    assert streams.streams["risen"].events == 200
    assert 101 < streams.streams["risen"].alarms[0] < 120


def test_a_feed_starves_after_two_windows_without_an_event() -> None:
    streams = Streams(window=60, began=1000)
    assert not streams.starved(1120)
    assert streams.starved(1121), "also when there never was one"
    streams.update("late", 0.1, 1500)
    streams.update("late", 0.1, 1490)
    assert not streams.starved(1620)
    assert streams.starved(1621)


def test_an_unknown_detector_is_refused_with_those_there_are() -> None:
    with pytest.raises(HopelessError, match=r"no detector 'ddm'; there are: e, adwin, kswin, page_hinkley"):
        detector("ddm")
    assert set(DETECTORS) == {"e", "adwin", "kswin", "page_hinkley"}
