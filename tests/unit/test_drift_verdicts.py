"""Whether months have drifted: the tests against SciPy, and the verdicts on the real flights."""

import json
from collections.abc import Callable
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tests.unit import real_flights
from workloads.common import HopelessError
from workloads.watch_drift import distributions, flights, measures
from workloads.watch_drift.classifier import Together, tell_apart
from workloads.watch_drift.distributions import Categories, Numbers
from workloads.watch_drift.multiple import holm
from workloads.watch_drift.reference import Reference, sliding
from workloads.watch_drift.verdicts import Limits, Verdict, judge, starved

SEED = 20_261_127
Change = Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]


@cache
def reference() -> Reference:
    rows = real_flights.months(1, 6)
    return Reference.learn(flights.features(rows), sliding(real_flights.dates(rows), 30, 10))


def changed(verdicts: list[Verdict]) -> set[tuple[str, str]]:
    return {(each.subject, each.about) for each in verdicts if each.changed}


# --- measures -----------------------------------------------------------------------------------------------


def sides(seed: int, ties: bool) -> tuple[pd.Series, pd.Series]:
    dice = np.random.default_rng([SEED, seed])
    before, now = dice.normal(size=5000), dice.normal(dice.choice([0, 0.05]), size=1200)
    decimals = 1 if ties else 15
    return pd.Series(before.round(decimals)), pd.Series(now.round(decimals))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_numbers_are_judged_as_scipy_judges_them(seed: int, ties: bool) -> None:
    before, now = sides(seed, ties)
    measured = measures.measure(Numbers.of(before), now)
    theirs = stats.ks_2samp(before, now, method="asymp")
    assert measured.effects["ks"] == pytest.approx(theirs.statistic, abs=1e-12)
    assert measured.p == pytest.approx(theirs.pvalue, rel=1e-6)
    moved = stats.wasserstein_distance(before, now) / before.std(ddof=0)
    assert measured.effects["wasserstein"] == pytest.approx(moved)


def test_categories_are_judged_as_scipy_judges_them() -> None:
    before, now = pd.Series(list("a" * 500 + "b" * 300)), pd.Series(list("a" * 90 + "b" * 80))
    theirs = stats.chi2_contingency([[500, 300], [90, 80]], correction=False)
    assert measures.measure(Categories.of(before), now).p == pytest.approx(theirs.pvalue)


def test_rare_categories_are_taken_together() -> None:
    rare = measures.chi_squared_p(np.array([500, 500, 1, 0, 2]), np.array([50, 50, 0, 1, 1]))
    theirs = stats.chi2_contingency([[500, 500, 3], [50, 50, 2]], correction=False)
    assert rare == pytest.approx(theirs.pvalue)
    assert measures.chi_squared_p(np.array([9, 0]), np.array([7, 0])) == 1.0, "one category differs from none"


def test_psi_is_zero_for_equals_and_the_divergence_of_jeffreys_else() -> None:
    half, other = np.array([0.5, 0.5]), np.array([0.6, 0.4])
    assert measures.psi(half, half) == 0
    assert measures.psi(half, other) == pytest.approx(stats.entropy(half, other) + stats.entropy(other, half))
    assert measures.psi(half, np.array([1.0, 0.0])) < 10, "an empty bin is no infinity"


def test_the_deciles_hold_a_tenth_each_and_say_so_of_the_reference_itself() -> None:
    before = pd.Series(np.random.default_rng(SEED).normal(size=10_000))
    kept = Numbers.of(before)
    assert kept.shares() == pytest.approx(np.full(10, 0.1), abs=1e-3)
    assert measures.measure(kept, before).effects == pytest.approx(
        {"ks": 0, "psi": 0, "wasserstein": 0}, abs=1e-12
    )


def test_of_many_values_some_are_kept_and_the_distance_is_hardly_wrong() -> None:
    dice = np.random.default_rng(SEED)
    before, now = pd.Series(dice.normal(size=100_000)), pd.Series(dice.normal(0.1, size=5000))
    kept = Numbers.of(before)
    assert len(kept.values) <= distributions.KEPT
    assert kept.rows == 100_000
    exact = stats.ks_2samp(before, now).statistic
    assert measures.measure(kept, now).effects["ks"] == pytest.approx(exact, abs=1e-4)


def test_holm_is_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_a_window_without_values_differs_in_what_is_missing_alone() -> None:
    before = pd.Series(np.arange(1000.0))
    for nothing in (pd.Series([np.nan] * 300), pd.Series([None] * 300), pd.Series([np.inf] * 300)):
        measured = measures.measure(Numbers.of(before), nothing)
        assert (measured.p, measured.nulls, measured.effects) == (1.0, 1.0, {})
        assert measured.p_nulls < 1e-9


# --- the reference ------------------------------------------------------------------------------------------


def test_a_reference_survives_json_and_judges_alike() -> None:
    again = Reference.from_json(reference().to_json())
    assert again.sha256 == reference().sha256
    window = flights.features(real_flights.month(9))
    assert judge(again, "9", window) == judge(reference(), "9", window)


def test_a_reference_that_was_changed_or_is_of_another_make_is_refused() -> None:
    kept = json.loads(reference().to_json())
    kept["columns"]["distance"]["upto"][0] += 1
    with pytest.raises(HopelessError, match="was changed or cut off"):
        Reference.from_json(json.dumps(kept))
    with pytest.raises(HopelessError, match="the reference has the format 'v0'"):
        Reference.from_json('{"format": "v0"}')


@pytest.mark.parametrize("kept", [10, 20_000])
def test_what_is_left_without_a_period_is_what_its_rows_alone_would_give(
    kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distributions, "KEPT", kept)
    dice = np.random.default_rng(SEED)
    here = np.arange(3000) % 7 == 0
    for column in (
        pd.Series(dice.normal(size=3000).round(1)).where(dice.random(3000) > 0.1),
        pd.Series(dice.choice(list("abc"), size=3000)).where(~here, "of the period alone"),
    ):
        whole, part, rest = (distributions.column_of(each) for each in (column, column[here], column[~here]))
        assert distributions.rest_of(whole, part).kept() == rest.thinned().kept()


def test_one_period_shows_no_season() -> None:
    rows = real_flights.month(1)
    with pytest.raises(HopelessError, match=r"has the period 1; .* takes two"):
        Reference.learn(flights.features(rows), {"1": rows["day"].to_numpy() > 0})


def test_periods_slide_and_stay_within_the_reference() -> None:
    dates = pd.Series(pd.date_range("2013-01-01", "2013-06-30").repeat(3))
    periods = sliding(dates, 30, 10)
    assert list(periods)[:2] == ["2013-01-01", "2013-01-11"]
    assert {int(here.sum()) for here in periods.values()} == {90}
    assert len(periods) == 16


# --- verdicts on real flights -------------------------------------------------------------------------------


@pytest.mark.parametrize("month", range(1, 7))
def test_no_month_of_the_reference_has_drifted(month: int) -> None:
    assert changed(judge(reference(), str(month), flights.features(real_flights.month(month)))) == set()


def test_without_floors_and_seasons_every_month_of_the_reference_would_have() -> None:
    """Why significance alone is no verdict."""
    for month in range(1, 7):
        verdicts = judge(reference(), str(month), flights.features(real_flights.month(month)))
        assert sum(each.p < 0.01 for each in verdicts) >= 8


def test_departure_delays_drift_in_five_of_the_six_months_that_follow() -> None:
    found = {
        month: changed(judge(reference(), str(month), flights.features(real_flights.month(month))))
        for month in range(7, 13)
    }
    assert [month for month, each in found.items() if ("dep_delay", "values") in each] == [7, 9, 10, 11, 12]
    assert all(("temp", "values") not in each for each in found.values()), "a summer is no drift"


def test_what_is_unknown_is_named_and_its_share_decides() -> None:
    window = flights.features(real_flights.month(11))
    (dest,) = [each for each in judge(reference(), "11", window) if each.subject == "dest" and each.p < 1]
    assert "unknown: ILM, LEX, SBN" in dest.says
    assert not dest.changed
    window = window.assign(dest=window["dest"].where(np.arange(len(window)) % 50 > 0, "XXX"))
    assert ("dest", "values") in changed(judge(reference(), "11", window))


@cache
def held_out() -> list[tuple[Reference, Together, pd.DataFrame]]:
    """Twenty clean windows, each with a reference that never saw its weeks, of which every fifth is held out:
    four of these weeks, or as many of their days, drawn by lot.
    """
    rows = real_flights.months(1, 6).reset_index(drop=True)
    watched, dates = flights.features(rows), real_flights.dates(rows)
    week = (dates - dates.min()).dt.days.to_numpy() // 7
    found = []
    for fold in range(5):
        out = week % 5 == fold
        periods = sliding(dates[~out], 30, 10)
        learned = Reference.learn(watched[~out], periods)
        together = Together.learn(watched.loc[~out, Limits().calm(learned)], periods)
        for number in range(4):
            dice = np.random.default_rng([SEED, fold, number])
            own, many = (week, 4) if number % 2 else (dates.to_numpy(), 28)
            chosen = dice.choice(np.unique(own[out]), many, replace=False)
            found.append((learned, together, watched[np.isin(own, chosen)]))
    return found


def test_twenty_clean_windows_that_set_no_limit_raise_at_most_one_alarm() -> None:
    alarms = [found for learned, _, window in held_out() if (found := changed(judge(learned, "w", window)))]
    assert len(held_out()) == 20
    assert len(alarms) <= 1, alarms


def clean(number: int) -> pd.DataFrame:
    """Thirty days of the reference, or four of its weeks."""
    dice = np.random.default_rng([SEED, number])
    rows = real_flights.months(1, 6)
    if number % 2:
        return real_flights.resampled(rows, 30, dice)
    week = real_flights.dates(rows).dt.isocalendar().week
    return rows[week.isin(dice.choice(week.unique(), 4, replace=False))]


def moved(name: str, deviations: float) -> Change:
    return lambda rows, _: rows.assign(**{name: rows[name] + deviations * rows[name].std()})


def spread(name: str, times: float) -> Change:
    return lambda rows, _: rows.assign(**{name: (rows[name] - rows[name].mean()) * times + rows[name].mean()})


def mixed(name: str, value: str, share: float) -> Change:
    return lambda rows, dice: rows.assign(**{name: rows[name].where(dice.random(len(rows)) > share, value)})


def lost(name: str, share: float) -> Change:
    return lambda rows, dice: rows.assign(**{name: rows[name].where(dice.random(len(rows)) > share)})


CHANGES: dict[str, tuple[Change, tuple[str, str]]] = {
    "mean": (moved("dep_delay", 0.5), ("dep_delay", "values")),
    "mean of what has seasons": (moved("humid", 0.8), ("humid", "values")),
    "scale": (spread("distance", 1.5), ("distance", "values")),
    "mix": (mixed("carrier", "UA", 0.3), ("carrier", "values")),
    "nulls": (lost("distance", 0.1), ("distance", "nulls")),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_shift_is_caught_within_two_windows(name: str) -> None:
    change, verdict = CHANGES[name]
    for start in range(5):
        windows = []
        for number in (2 * start, 2 * start + 1):
            dice = np.random.default_rng([SEED, 100 + number])
            windows.append(change(flights.features(clean(100 + number)), dice))
        assert any(verdict in changed(judge(reference(), "w", window)) for window in windows), start


def test_what_the_seasons_hide_is_not_seen() -> None:
    """The price of not calling a summer drift; docs/explanation/drift.md says so."""
    warmer = moved("temp", 0.5)(flights.features(real_flights.month(4)), np.random.default_rng(SEED))
    assert changed(judge(reference(), "4", warmer)) == set()


# --- the schema and the feed --------------------------------------------------------------------------------


def test_a_changed_schema_is_named_and_the_rest_is_judged_as_ever() -> None:
    window = flights.features(real_flights.month(3)).drop(columns="distance")
    window = window.assign(carrier=np.arange(len(window)), gate="A1")
    verdicts = judge(reference(), "3", window)
    assert changed(verdicts) == {("distance", "missing"), ("carrier", "type"), ("gate", "extra")}
    assert {each.kind for each in verdicts if each.changed} == {"schema"}
    assert {"dep_delay", "temp"} <= {each.subject for each in verdicts}


def test_few_rows_are_not_judged_and_that_is_said() -> None:
    verdicts = judge(reference(), "w", moved("dep_delay", 9)(flights.features(clean(1)).head(40), None))  # type: ignore[arg-type]
    assert [(each.kind, each.about, each.changed) for each in verdicts] == [("feed", "few", False)]
    assert "40 rows are too few to judge; 200 are asked for" in verdicts[0].says


def test_two_windows_without_rows_are_a_feed_that_starves() -> None:
    assert not starved("2", [0]).changed, "one empty window may be late"
    assert not starved("3", [0, 0, 5]).changed
    assert not starved("3", [5, 5, 0]).changed
    verdict = starved("4", [5, 0, 0])
    assert verdict.changed
    assert verdict.says == "no rows in 2 windows"


# --- all columns together -----------------------------------------------------------------------------------


def test_a_classifier_is_silent_on_clean_windows_and_sees_a_quarter_of_an_hour() -> None:
    found = [together.judge("w", window, Limits()) for _, together, window in held_out()]
    assert [each.effects for each in found if each.changed] == []
    _, together, window = held_out()[0]
    later = window.assign(dep_delay=window["dep_delay"] + 15)
    assert together.judge("w", later, Limits()).effects["auc"] > 0.8
    assert together.judge("w", later, Limits()).changed


def test_a_classifier_gets_no_column_that_has_seasons() -> None:
    """With them it tells January from June, and a shift adds nothing."""
    calm = Limits().calm(reference())
    assert calm == ["dep_delay", "distance", "minute_of_day", "carrier", "origin", "dest"]


def test_carriers_that_fly_elsewhere_are_seen_by_the_classifier_alone() -> None:
    learned, together, window = held_out()[1]
    dice = np.random.default_rng(SEED)
    mixed_up = window.assign(carrier=dice.permutation(window["carrier"].to_numpy()))
    assert changed(judge(learned, "w", mixed_up)) == set()
    assert together.judge("w", mixed_up, Limits()).changed


def test_a_classifier_survives_json_and_judges_alike_though_a_column_is_gone() -> None:
    _, together, window = held_out()[2]
    again = Together.from_kept(json.loads(json.dumps(together.kept())))
    for here in (window, window.drop(columns="carrier"), window.assign(carrier=1.0)):
        assert again.judge("w", here, Limits()) == together.judge("w", here, Limits())


def test_a_period_without_rows_is_not_told_from_the_others() -> None:
    rows = pd.DataFrame({"a": np.random.default_rng(SEED).normal(size=400)})
    none = np.zeros(400, dtype=bool)
    assert Together.learn(rows, {"none": none}).usual == 0.5
    assert Together.learn(rows, {"none": none, "half": np.arange(400) % 2 == 0}).usual != 0.5


def test_a_classifier_sees_what_no_column_shows_alone() -> None:
    dice = np.random.default_rng(SEED)
    x = dice.normal(size=(2, 1000))
    before = pd.DataFrame({"a": x[0], "b": x[0] + 0.3 * dice.normal(size=1000), "c": "same"})
    now = pd.DataFrame({"a": x[1], "b": dice.permutation(before["b"]), "c": "same"})
    half = np.arange(1000) % 2 == 0
    alone = Reference.learn(before, {"even": half, "odd": ~half})
    assert changed(judge(alone, "w", now)) == set()
    told = tell_apart(before, now)
    assert told.auc > 0.7
    assert told.p < 1e-6
    same = tell_apart(before.iloc[::2], before.iloc[1::2])
    assert same.p > 0.01
