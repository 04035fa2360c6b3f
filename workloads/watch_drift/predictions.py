"""Predictions on the watched flights, and how far they were off: those of a registered model that is asked
anew, or those that were given.
"""

from typing import Any

import pandas as pd

from workloads import common
from workloads.common import HopelessError
from workloads.train_delay.features import INPUT_COLUMNS
from workloads.watch_drift.config import WatchDrift
from workloads.watch_drift.flights import SCORE

WHOLE = ("year", "month", "day", "hour", "minute", "distance")
"""Inputs that the model's signature has as whole numbers."""
PREDICTION, RESIDUAL = "prediction", "residual"


class Model:
    """One version of a registered model."""

    def __init__(self, settings: WatchDrift) -> None:
        mlflow = common.mlflow()
        self.late_minutes = settings.late_minutes
        self.version = settings.version or newest(mlflow, settings.model)
        self.loaded = mlflow.pyfunc.load_model(f"models:/{settings.model}/{self.version}")

    def columns(self, rows: pd.DataFrame) -> dict[str, pd.Series]:
        """The probability of a late arrival, and the outcome less it. Missing where the flight never left, or
        its arrival is not known. None at all where a column is missing that the model asks for.
        """
        if not {*INPUT_COLUMNS, "arr_delay"} <= set(rows):
            return {}
        asked = rows.dropna(subset=["dep_delay"])
        inputs = asked[list(INPUT_COLUMNS)].astype(dict.fromkeys(WHOLE, "int64"))
        answer = self.loaded.predict(inputs)
        scores = pd.Series(answer.iloc[:, 0].to_numpy(dtype="float64"), index=asked.index)
        return watched(rows, scores.reindex(rows.index), self.late_minutes)


class Given:
    """Scores as they were given, which the flights have with them."""

    version = ""

    def __init__(self, settings: WatchDrift) -> None:
        self.late_minutes = settings.late_minutes

    def columns(self, rows: pd.DataFrame) -> dict[str, pd.Series]:
        """As a model's; missing where a flight has no score."""
        if not {SCORE, "arr_delay"} <= set(rows):
            return {}
        return watched(rows, rows[SCORE], self.late_minutes)


def watched(rows: pd.DataFrame, scores: pd.Series, late_minutes: int) -> dict[str, pd.Series]:
    """What is watched of scores."""
    return {PREDICTION: scores, RESIDUAL: late(rows, late_minutes) - scores}


def late(rows: pd.DataFrame, minutes: int) -> pd.Series:
    """1 where a flight arrived later than so, 0 where not, missing where it is not known."""
    return (rows["arr_delay"] > minutes).astype("float64").where(rows["arr_delay"].notna())


def newest(mlflow: Any, model: str) -> str:
    """The number of the model's last version.

    Raises:
        HopelessError: there is no such model.
    """
    found = mlflow.tracking.MlflowClient().search_model_versions(f"name = '{model}'")
    if not found:
        raise HopelessError(
            f"no version of a model '{model}' is registered; train one: seatrial deploy train_delay"
        )
    return str(max(int(each.version) for each in found))
