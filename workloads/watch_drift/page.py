"""A page for people, by Evidently: the window's columns beside those of the reference's last month.

It is for looking at, and its verdicts are not ours: it knows neither floors nor seasons. Evidently lives in
an environment of its own in this workload's image; without it there is no page.
"""

import os
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from workloads.common import WorkloadError, log

PYTHON = Path("/opt/evidently/bin/python")
"""Evidently's."""
ROWS = 5000
"""Of each side."""
SECONDS = 300


def page(reference: pd.DataFrame, window: pd.DataFrame, python: Path = PYTHON) -> str | None:
    """HTML, or None where Evidently is not installed.

    Raises:
        WorkloadError: it failed; with the end of what it said.
    """
    if not python.is_file():
        log("no page for people: Evidently is not installed", python=python)
        return None
    program = Path(__file__).with_name("by_evidently.py")
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / name) for name in ("reference.csv", "window.csv", "page.html")]
        for side, file in zip((reference, window), files, strict=False):
            shared = side[[name for name in reference if name in window]]
            shared.sample(min(len(side), ROWS), random_state=13).to_csv(file, index=False)
        # Without PYTHONPATH: what is ours is made for other versions of what it imports.
        surroundings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [str(python), str(program), "page", *files], capture_output=True, text=True, timeout=SECONDS,
            env=surroundings,
        )  # fmt: skip
        if done.returncode:
            raise WorkloadError(f"Evidently failed: {done.stderr.strip()[-500:]}")
        return Path(files[2]).read_text()
