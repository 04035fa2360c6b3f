"""A registered model's predictions on the watched flights, and how far they were off."""

from typing import Any

import pandas as pd

from workloads import common
from workloads.common import HopelessError
from workloads.train_delay.features import INPUT_COLUMNS
from workloads.watch_drift.config import WatchDrift

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
        prediction = scores.reindex(rows.index)
        return {PREDICTION: prediction, RESIDUAL: late(rows, self.late_minutes) - prediction}


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
