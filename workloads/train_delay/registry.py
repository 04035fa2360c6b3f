"""Puts a trained network into MLflow's registry: code, weights and JSON, without pickles."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workloads.train_delay.config import TrainDelay
from workloads.train_delay.features import INPUT_COLUMNS, Preprocessing

HERE = Path(__file__).parent


def log_model(
    mlflow: Any,
    settings: TrainDelay,
    preprocessing: Preprocessing,
    rows: pd.DataFrame,
    weights: Path,
    *,
    serving: Path,
    requirement: str,
) -> str:
    """The number of the version that the active run registers.

    `serving` is the file that MLflow loads, `weights` what that reads; beside `weights` more files are put.
    `requirement` is the framework, as pip wants it.
    """
    files = {"weights": str(weights)}
    texts = {"preprocessing": preprocessing.to_json(), "settings": json.dumps(asdict(settings))}
    for name, text in texts.items():
        files[name] = str(weights.with_name(name))
        Path(files[name]).write_text(text)
    example = as_declared(rows[list(INPUT_COLUMNS)].head(2))
    output = pd.DataFrame({"late_probability": np.zeros(2, dtype=np.float32)})
    info = mlflow.pyfunc.log_model(
        name="model",
        python_model=str(serving),
        artifacts=files,
        code_paths=[str(code(weights.parent, {HERE, serving.parent}))],
        signature=mlflow.models.infer_signature(example, output),
        input_example=example,
        pip_requirements=[requirement, f"pandas=={pd.__version__}"],
        registered_model_name=settings.model,
    )
    return str(info.registered_model_version)


def code(into: Path, packages: set[Path]) -> Path:
    """A copy of `workloads` with these packages alone: MLflow sends each file by a request of its own."""
    copy = into / "workloads"
    copy.mkdir()
    shutil.copy(HERE.parent / "__init__.py", copy)
    for package in packages:
        shutil.copytree(package, copy / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def as_declared(rows: pd.DataFrame) -> pd.DataFrame:
    """The types of the model's signature: what may be missing is a double, other whole numbers are long."""
    whole = {name: "int64" for name in rows.select_dtypes("integer").columns if name != "dep_delay"}
    return rows.astype({**whole, "dep_delay": "float64"})
