"""What a model predicts, as the protocols carry it."""

from typing import Any

import numpy as np
import pandas as pd

OUTPUT = "output"
"""Name of what the model gives no name to."""


def rows(result: Any) -> list[Any]:
    """For V1: a list with an entry a row; an object where the model names its outputs."""
    if isinstance(result, pd.DataFrame):
        return result.to_dict("records")
    if isinstance(result, dict):
        lists = {name: np.asarray(values).tolist() for name, values in result.items()}
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]
    found: list[Any] = np.asarray(result).tolist()
    return found


def tensors(result: Any, schema: Any) -> dict[str, np.ndarray]:
    """For V2: an array for each output, by name; `schema` is MLflow's output schema, or None."""
    if isinstance(result, pd.DataFrame):
        return {str(name): _array(result[name].to_numpy()) for name in result.columns}
    if isinstance(result, dict):
        return {name: _array(np.asarray(values)) for name, values in result.items()}
    names = schema.input_names() if schema is not None and schema.has_input_names() else []
    return {names[0] if len(names) == 1 else OUTPUT: _array(np.asarray(result))}


def _array(values: np.ndarray) -> np.ndarray:
    """pandas' text as objects, which is what the protocol's BYTES are made from."""
    return values if values.dtype.kind in "biuf" else values.astype(object)
