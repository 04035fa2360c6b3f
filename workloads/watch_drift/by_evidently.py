"""Run by Evidently's own Python, which has other versions of what we import; imports nothing of ours.

`by_evidently.py page REFERENCE.csv WINDOW.csv PAGE.html` writes the page for people.
`by_evidently.py judge REFERENCE.npy WINDOW.npy` prints, as JSON, the p-value of Kolmogorov-Smirnov's test of
each column, and the seconds of processor time that the report took.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ["DO_NOT_TRACK"] = "1"

import pandas as pd


def run(reference: pd.DataFrame, window: pd.DataFrame) -> Any:
    """Evidently's report on all columns."""
    from evidently import Dataset, Report
    from evidently.presets import DataDriftPreset

    report = Report([DataDriftPreset(num_method="ks", cat_method="chisquare")])
    return report.run(Dataset.from_pandas(window), Dataset.from_pandas(reference))


def page(reference: str, window: str, html: str) -> None:
    run(pd.read_csv(reference), pd.read_csv(window)).save_html(html)


def judge(reference: str, window: str) -> None:
    import numpy as np

    sides = [
        pd.DataFrame(values, columns=[f"c{n}" for n in range(values.shape[1])])
        for values in (np.load(reference), np.load(window))
    ]
    run(*(side.head(100) for side in sides))  # What it loads late is not counted.
    began = time.process_time()
    found = run(*sides)
    seconds = time.process_time() - began
    values = {each["config"].get("column"): each["value"] for each in found.dict()["metrics"]}
    print(json.dumps({"cpu": seconds, "p": {name: p for name, p in values.items() if name}}))


if __name__ == "__main__":
    work: dict[str, Callable[..., None]] = {"page": page, "judge": judge}
    work[sys.argv[1]](*sys.argv[2:])
