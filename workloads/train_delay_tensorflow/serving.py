"""The registered model as MLflow loads it: raw columns of flights and weather in, probability of a late
arrival out.

It is logged as code, weights and JSON, without pickles: `numpy.load` runs nothing that the file says.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import tensorflow as tf

from workloads.train_delay.features import Preprocessing
from workloads.train_delay_tensorflow.model import DelayClassifier


class DelayModel(mlflow.pyfunc.PythonModel):
    """`predict` gives `late_probability` for each row."""

    def load_context(self, context: Any) -> None:
        files = context.artifacts
        self.preprocessing = Preprocessing.from_json(Path(files["preprocessing"]).read_text())
        settings = json.loads(Path(files["settings"]).read_text())
        self.network = DelayClassifier(self.preprocessing.shape(settings["hidden"]))
        with np.load(files["weights"], allow_pickle=False) as kept:
            self.network.set_weights([kept[name] for name in kept.files])

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        logits = self.network(tf.constant(self.preprocessing.apply(model_input)))
        return pd.DataFrame({"late_probability": tf.sigmoid(logits).numpy()})


mlflow.models.set_model(DelayModel())
