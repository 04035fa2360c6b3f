"""Judges windows of numbers with `workloads.watch_drift` and with Evidently, and looks for a change of a rate
with its e-detector and with ADWIN. Both sides of a turn get the same rows, drawn by the turn's own seed.

Evidently's seconds are those of its report alone, and ours those of the comparison: to both the rows are
loaded, and ours has learned the reference before, once, as in use.
"""

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import watch

from workloads.watch_drift import by_evidently, measures, page
from workloads.watch_drift.detectors import Detector, detector
from workloads.watch_drift.distributions import Numbers
from workloads.watch_drift.usual import UsualRate

SHIFTS = (0.0, 0.0, 0.02, 0.03, 0.05)
"""Deviations by which columns are moved, in turn: some differ, some do not, and some hardly do."""
LONG_ENOUGH = 0.2
"""Seconds of processor time that ours is measured for at least."""
BEFORE, AFTER = 0.1, 0.2


def batch(told: dict[str, Any], dice: np.random.Generator) -> dict[str, Callable[[], dict[str, Any]]]:
    """Side → what judges one window."""
    rows, columns = told["rows"], told["columns"]
    reference = dice.normal(size=(rows, columns))
    window = dice.normal(size=(rows, columns)) + np.resize(SHIFTS, columns)
    kept = [Numbers.of(pd.Series(column)) for column in reference.T]
    series = [pd.Series(column) for column in window.T]

    def ours() -> dict[str, Any]:
        ks = per_second(lambda: [ks_p(*each) for each in zip(kept, series, strict=True)])
        whole = per_second(lambda: [measures.measure(*each) for each in zip(kept, series, strict=True)])
        return {"ks": ks[0], "all": whole[0], "p": ks[1]}

    def theirs() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder) / name) for name in ("reference.npy", "window.npy")]
            for file, values in zip(files, (reference, window), strict=True):
                np.save(file, values)
            surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
            done = subprocess.run(
                [told.get("evidently", str(page.PYTHON)), by_evidently.__file__, "judge", *files],
                check=True, capture_output=True, text=True, env=surroundings,
            )  # fmt: skip
        said = json.loads(done.stdout.splitlines()[-1])
        return {"ks": said["cpu"], "all": said["cpu"], "p": [said["p"][f"c{n}"] for n in range(columns)]}

    return {"seatrial": ours, "others": theirs}


def ks_p(reference: Numbers, window: pd.Series) -> float:
    ordered = np.sort(window.to_numpy())
    return measures.ks_p(measures.ks_distance(reference, ordered), reference.rows, len(ordered))


def per_second(work: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of processor time that the work takes, and what came of it; the first time is not counted."""
    made, times, began = work(), 0, time.process_time()
    while time.process_time() - began < LONG_ENOUGH:
        made = work()
        times += 1
    return (time.process_time() - began) / times, made


def streams(told: dict[str, Any], dice: np.random.Generator) -> dict[str, Callable[[], dict[str, Any]]]:
    """Side → what looks for the change in each stream."""
    usual = UsualRate.learn(pd.Series((dice.random(20_000) < BEFORE).astype(float)), pd.Series([0] * 20_000))
    before, after = told["before"], told["after"]
    drawn = [
        np.concatenate([dice.random(before) < BEFORE, dice.random(after) < AFTER]).astype(float)
        for _ in range(told["streams"])
    ]

    def look(make: Callable[[], Detector], centre: float) -> dict[str, Any]:
        found = [of_stream(make(), (values - centre).tolist(), before) for values in drawn]
        delays = [delay for _, delay in found if delay is not None]
        return {"false": sum(alarms for alarms, _ in found), "delays": delays, "streams": len(found)}

    return {
        "seatrial": lambda: look(lambda: detector("e"), usual.whole),
        "others": lambda: look(lambda: detector("adwin"), 0.0),
    }


def of_stream(of: Detector, values: list[float], before: int) -> tuple[int, int | None]:
    """False alarms before the change, and events from there to the first alarm."""
    early = sum(of.update(value) for value in values[:before])
    for number, value in enumerate(values[before:], 1):
        if of.update(value):
            return early, number
    return early, None


def main() -> None:
    told = watch.told()
    for turn, order in told["orders"].items():
        before = watch.look()
        dice = np.random.default_rng([told["seed"], int(turn)])
        judges, detectors = batch(told, dice), streams(told, dice)
        for side in order.split():
            watch.tell(
                "window", turn=int(turn), side=side, cells=told["rows"] * told["columns"], **judges[side]()
            )
            watch.tell("streams", turn=int(turn), side=side, **detectors[side]())
        watch.tell("seen", turn=int(turn), **watch.since(before))
    watch.tell("done", turns=len(told["orders"]))


if __name__ == "__main__":
    main()
