"""What a registered version foretells of this training's test rows, so that the new one can be compared with
it.

It is loaded in a process of its own, by its own code: that of this image may look at other features.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workloads.common import HopelessError, WorkloadError, env, log
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.registry import as_declared

SECONDS = 120
"""To load it and to score: the other ranks wait for three minutes (ranks.MEETING_TIME)."""
LETTERS = 600
"""Of what the process said, where it did not say why it failed."""
PROGRAM = Path(__file__).with_name("scoring.py")


def require(mlflow: Any, version: str) -> None:
    """Be sure that the registry has it, before anything is learned.

    Raises:
        HopelessError: there is no such version.
        WorkloadError: MLflow failed.
    """
    name, _, number = version.partition("/")
    try:
        mlflow.tracking.MlflowClient().get_model_version(name, number)
    except Exception as error:
        raise _failure(error, version) from error


def scores(mlflow: Any, settings: TrainDelay, test: pd.DataFrame) -> np.ndarray:
    """The probability that each test flight is late, by the version that `settings.against` names.

    Raises:
        HopelessError: it cannot be loaded, lacks a column, or answers another question.
        WorkloadError: MLflow failed, or the process was killed.
    """
    version = settings.against
    with tempfile.TemporaryDirectory() as place:
        try:
            model = mlflow.artifacts.download_artifacts(artifact_uri=f"models:/{version}", dst_path=place)
        except Exception as error:
            raise _failure(error, version) from error
        _same_question(Path(model), settings)
        rows, found = Path(place) / "rows.parquet", Path(place) / "scores.parquet"
        # What is known only later is no input, whatever the version would take.
        as_declared(test.drop(columns="arr_delay")).to_parquet(rows, index=False)
        _score(version, Path(model), rows, found)
        answered = pd.read_parquet(found)["late_probability"].to_numpy()
    if len(answered) != len(test) or not np.all((answered >= 0) & (answered <= 1)):
        raise HopelessError(
            f"version {version} (setting against) gave no probability for each of {len(test)} test flights"
        )
    log("tested against", version=version, flights=len(answered))
    return answered


def _failure(error: Exception, version: str) -> WorkloadError:
    if getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST":
        return HopelessError(f"the registry has no version {version} (setting against): {error}")
    return WorkloadError(f"MLflow at {env('MLFLOW_TRACKING_URI')} failed: {type(error).__name__}: {error}")


def _same_question(model: Path, settings: TrainDelay) -> None:
    """Refuse a version that was taught another meaning of late; one that does not say is taken as it is."""
    kept = model / "artifacts" / "settings"
    minutes = json.loads(kept.read_text()).get("late_minutes") if kept.exists() else None
    if minutes not in (None, settings.late_minutes):
        raise HopelessError(
            f"late means over {settings.late_minutes} minutes here, and {minutes} to version "
            f"{settings.against} (setting against): train with late_minutes={minutes}"
        )


def _score(version: str, model: Path, rows: Path, scores: Path) -> None:
    # -P: what lies beside the program is not for import.
    command = [sys.executable, "-P", str(PROGRAM), str(model), str(rows), str(scores)]
    try:
        ended = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise WorkloadError(f"version {version} (setting against) took over {SECONDS} s to score") from error
    if ended.returncode < 0:
        raise WorkloadError(
            f"the process that scored version {version} was killed by signal {-ended.returncode}"
        )
    if ended.returncode:
        cause = ended.stdout.strip() or ended.stderr.strip()[-LETTERS:]
        raise HopelessError(f"version {version} (setting against) cannot score the test flights: {cause}")
