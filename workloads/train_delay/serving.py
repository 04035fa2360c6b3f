"""The registered model as MLflow loads it: raw columns of flights and weather in, probability of a late
arrival out.

It is logged as code, weights and JSON, without pickles: `torch.load(weights_only=True)` runs nothing that the
file says.
"""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch

from workloads.train_delay.features import Preprocessing
from workloads.train_delay.model import DelayClassifier


class DelayModel(mlflow.pyfunc.PythonModel):
    """`predict` gives `late_probability` for each row."""

    def load_context(self, context: Any) -> None:
        torch.set_num_threads(1)
        files = context.artifacts
        self.preprocessing = Preprocessing.from_json(Path(files["preprocessing"]).read_text())
        settings = json.loads(Path(files["settings"]).read_text())
        self.network = DelayClassifier(
            self.preprocessing.sizes, self.preprocessing.numeric, settings["hidden"]
        )
        self.network.load_state_dict(torch.load(files["weights"], weights_only=True))
        self.network.eval()

    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> pd.DataFrame:
        with torch.inference_mode():
            logits = self.network(torch.from_numpy(self.preprocessing.apply(model_input)))
            scores = torch.sigmoid(logits).numpy()
        return pd.DataFrame({"late_probability": scores})


mlflow.models.set_model(DelayModel())
