"""Flights that are no longer like those of the training are told of, and so is their absence."""

import time
from dataclasses import replace

from client import Platform
from proofs import drifted
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part

CALLED = "drift.a_shift_is_called_and_nothing_else"
VALUES = (drifted.SHIFTED, "values")
MISSING = (drifted.RENAMED, "missing")
STARVED = ("rows", "starved")
SCORES = {("prediction", "values"), ("residual", "values")}
WATCHED = {str(month) for month in drifted.SETTINGS.watched_months}
LAST = str(drifted.LAST)
PAGE = 1_000_000, 50_000_000
"""Characters of a page: Evidently's own program in it has 3.5 million."""


@proof("drift")
def a_shift_is_called_and_nothing_else(platform: Platform, check: Check) -> None:
    """Months from which nothing has drifted are silent. Delays at departure that are half an hour longer are
    called changed by the next verdicts, alone, and their alert arrives with the name of the model and ends.
    """
    require_part(platform, check)
    with drifted.watching(platform) as clean:
        check.equal(clean.windows, WATCHED, "each watched month is judged")
        check.equal(clean.changed, set(), "months from which nothing has drifted are not called changed")
        features = drifted.until_told(platform, set())
        check(VALUES in features, "Prometheus shows the verdict on each column", shown=features)
        check.equal(drifted.stays_silent(platform), set(), "no alert is pending or fires")
        before, began = drifted.histogram(platform), time.time()
        drifted.shift(platform)
        found, after = drifted.next_look(platform, clean), drifted.histogram(platform)
        check.equal(
            found.changed, {(LAST, *VALUES)}, "the next verdicts call the shifted column changed, alone"
        )
        check.attach("drift", {"sizes": found.sizes(), "column": drifted.SHIFTED, "minutes": drifted.MINUTES,
                               "window": LAST, "before": before, "after": after})  # fmt: skip
        drifted.until_told(platform, {VALUES})
        alert = drifted.arrive(platform, "FeatureDrifts", began)
        check.attach("alerts", drifted.timed(platform, alert, began))
        named = {name: alert["labels"].get(name) for name in ("subject", "about", "model")}
        right = {"subject": VALUES[0], "about": VALUES[1], "model": drifted.SERVES}
        check.equal(named, right, "the alert names the column and the model")
        check(
            "FeatureDrifts" in drifted.alerting(platform, began, "pending"), "it was pending before it fired"
        )
        check.equal(drifted.look_now(platform).changed, found.changed, "the flights are called so still")
        drifted.shift(platform, -drifted.MINUTES)
        check.equal(drifted.next_look(platform, found).changed, set(), "shifted back they are as before")
        drifted.end(platform, alert, began)
        check.equal(
            drifted.alerting(platform, began), {"FeatureDrifts"}, "no other alert was pending or fired"
        )


@proof("drift", needs=[CALLED])
def a_column_that_is_gone_is_named(platform: Platform, check: Check) -> None:
    """A column that is renamed is missed by its name, in the lake and by an alert, until it has its name
    again; one that has no values any more is named too.
    """
    require_part(platform, check)
    with drifted.watching(platform) as clean:
        began = time.time()
        drifted.rename(platform, drifted.RENAMED, f"{drifted.RENAMED}_miles")
        found = drifted.next_look(platform, clean)
        gone = {(window, *MISSING) for window in WATCHED}
        check.equal(found.changed, gone, "the next verdicts miss the column in each month, and nothing else")
        drifted.until_told(platform, {MISSING})
        alert = drifted.arrive(platform, "SchemaChanged", began)
        check.attach("alerts", drifted.timed(platform, alert, began))
        named = {name: alert["labels"].get(name) for name in ("subject", "about")}
        check.equal(named, {"subject": MISSING[0], "about": MISSING[1]}, "the alert names the column")
        drifted.rename(platform, f"{drifted.RENAMED}_miles", drifted.RENAMED)
        mended = drifted.next_look(platform, found)
        check.equal(mended.changed, set(), "with its name again it is as before")
        drifted.end(platform, alert, began)
        drifted.empty(platform)
        bare = {(LAST, drifted.RENAMED, "nulls")}
        check.equal(drifted.next_look(platform, mended).changed, bare, "a column without values is named")


@proof("drift", needs=[CALLED])
def a_feed_that_is_cut_is_told_of(platform: Platform, check: Check) -> None:
    """Two months without flights are no silence: the watch says that it starves, and says nothing of columns,
    until flights come again. So are flights that are due and do not come. In MLflow people have a page.
    """
    require_part(platform, check)
    with drifted.watching(platform, replace(drifted.SETTINGS, report=True)) as clean:
        page = drifted.page(platform) or ""
        begin = page.lstrip()[:15].lower()
        check.equal(begin, "<!doctype html>", "MLflow has a page for people, of HTML")
        check(drifted.SHIFTED in page, "the page is on the columns of the flights")
        check(PAGE[0] < len(page) < PAGE[1], "its size is that of one by Evidently", size=len(page))
        check(drifted.rows(platform, drifted.CUT) > 0, "the last two months have flights")
        began = time.time()
        drifted.cut(platform)
        found = drifted.next_look(platform, clean)
        check.equal(found.changed, {(LAST, *STARVED)}, "the next verdicts say that the feed starves")
        shown = drifted.until_told(platform, {STARVED})
        check.equal(set(shown), {STARVED}, "nothing is said of columns")
        alert = drifted.arrive(platform, "DriftDetectorStarved", began)
        check.attach("alerts", drifted.timed(platform, alert, began))
        check.equal(alert["labels"].get("model"), drifted.SERVES, "the alert names the model")
        check.equal(drifted.look_now(platform).changed, found.changed, "it is said as long as nothing comes")
        drifted.refill(platform)
        check.equal(drifted.next_look(platform, found).changed, set(), "with flights again it is as before")
        drifted.end(platform, alert, began)
        drifted.due(platform, 1)
        drifted.until_starved(platform)
        check.equal(
            drifted.look_now(platform).changed,
            set(),
            "flights that are due and do not come are told of, though each month has flights",
        )


@proof("drift", needs=[CALLED])
def predictions_that_shift_are_called(platform: Platform, check: Check) -> None:
    """Scores like those of the reference are silent. When they are half as high, the next verdicts call them
    changed, and how far they are off, and no column of the flights; their alert arrives with the name of the
    model and ends.
    """
    require_part(platform, check)
    with drifted.watching(platform) as clean:
        check.equal(clean.changed, set(), "scores from which nothing has drifted are not called changed")
        seen = drifted.until_told(platform, set())
        check(
            set(seen) >= SCORES,
            "Prometheus shows the verdicts on scores and on how far they are off",
            shown=seen,
        )
        check.equal(drifted.stays_silent(platform), set(), "no alert is pending or fires")
        began = time.time()
        drifted.weigh(platform, 0.5)
        found = drifted.next_look(platform, clean)
        off = {(LAST, *each) for each in SCORES}
        check.equal(
            found.changed, off, "the next verdicts call the scores changed, and nothing of the flights"
        )
        drifted.until_told(platform, SCORES)
        alert = drifted.arrive(platform, "PredictionsDrift", began, subject="prediction")
        check.attach("alerts", drifted.timed(platform, alert, began))
        named = {name: alert["labels"].get(name) for name in ("about", "model")}
        check.equal(named, {"about": "values", "model": drifted.SERVES}, "the alert names the model")
        pending = drifted.alerting(platform, began, "pending")
        check("PredictionsDrift" in pending, "it was pending before it fired")
        check(drifted.halved(platform), "the scores are half as high still")
        drifted.weigh(platform, 2)
        check.equal(drifted.next_look(platform, found).changed, set(), "as high as before they are as before")
        drifted.end(platform, alert, began)
        told = drifted.alerting(platform, began)
        check.equal(told, {"PredictionsDrift"}, "no other alert was pending or fired")
