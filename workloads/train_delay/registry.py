"""Puts the trained network into MLflow's registry: code, weights and JSON, with tags that lead back."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from workloads.train_delay.config import TrainDelay
from workloads.train_delay.features import INPUT_COLUMNS, Preprocessing
from workloads.train_delay.model import DelayClassifier

HERE = Path(__file__).parent


def register(
    mlflow: Any,
    settings: TrainDelay,
    network: DelayClassifier,
    preprocessing: Preprocessing,
    rows: pd.DataFrame,
    folder: Path,
    tags: dict[str, str],
) -> str:
    """The number of the version that the active run registers; one that it registered before it was killed is
    taken as it is. `folder` is for files in between.
    """
    client, name = mlflow.tracking.MlflowClient(), settings.model
    known = client.search_model_versions(f"name = '{name}' and run_id = '{tags['run_id']}'")
    if known:
        version = str(known[0].version)
    else:
        version = log_model(mlflow, settings, network, preprocessing, rows, folder)
    for key, value in tags.items():
        client.set_model_version_tag(name, version, key, value)
    return version


def log_model(
    mlflow: Any,
    settings: TrainDelay,
    network: DelayClassifier,
    preprocessing: Preprocessing,
    rows: pd.DataFrame,
    folder: Path,
) -> str:
    files = {name: str(folder / name) for name in ("weights", "preprocessing", "settings")}
    torch.save(network.state_dict(), files["weights"])
    Path(files["preprocessing"]).write_text(preprocessing.to_json())
    Path(files["settings"]).write_text(json.dumps(asdict(settings)))
    example = as_declared(rows[list(INPUT_COLUMNS)].head(2))
    output = pd.DataFrame({"late_probability": np.zeros(2, dtype=np.float32)})
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(HERE / "serving.py"),
        artifacts=files,
        code_paths=[str(HERE.parent)],
        signature=mlflow.models.infer_signature(example, output),
        input_example=example,
        pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", f"pandas=={pd.__version__}"],
        registered_model_name=settings.model,
    )
    return str(info.registered_model_version)


def as_declared(rows: pd.DataFrame) -> pd.DataFrame:
    """The types of the model's signature: what may be missing is a double, other whole numbers are long."""
    whole = {name: "int64" for name in rows.select_dtypes("integer").columns if name != "dep_delay"}
    return rows.astype({**whole, "dep_delay": "float64"})
