"""The server of models: what a signature lets through, in which words it refuses, which files are served."""

import hashlib
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, Schema, TensorSpec

from workloads.serve_model import answers
from workloads.serve_model.model import Loaded, WrongFiles, digest_of
from workloads.serve_model.signature import Columns, Tensor, Tensors, Unfit, Unservable, of_schema

ROW = {"delay": 1.5, "hour": 5, "carrier": "UA", "late": True}
SCHEMA = Schema(
    [
        ColSpec("double", "delay"),
        ColSpec("long", "hour"),
        ColSpec("string", "carrier"),
        ColSpec("boolean", "late"),
    ]
)
COLUMNS = Columns(SCHEMA)


def tensors(rows: int = 1, **changes: Any) -> list[Tensor]:
    """A request that fits `COLUMNS`, but for the changes: `delay=dict(datatype="BYTES")`."""
    fitting = {
        "delay": {"datatype": "FP64", "values": [1.5] * rows},
        "hour": {"datatype": "INT64", "values": [5] * rows},
        "carrier": {"datatype": "BYTES", "values": [b"UA"] * rows},
        "late": {"datatype": "BOOL", "values": [True] * rows},
    }
    return [
        Tensor(**{"name": name, "shape": (rows,), **given, **changes.get(name, {})})
        for name, given in fitting.items()
    ]


def test_rows_become_a_frame_of_the_declared_types() -> None:
    frame = COLUMNS.rows([ROW, {**ROW, "delay": None, "hour": 6}])
    assert list(frame) == ["delay", "hour", "carrier", "late"]
    assert frame["delay"].tolist()[0] == 1.5
    assert np.isnan(frame["delay"][1])
    assert (frame["delay"].dtype, frame["hour"].dtype, frame["late"].dtype) == ("float64", "int64", "bool")
    assert frame["carrier"].tolist() == ["UA", "UA"]


def test_tensors_become_the_same_frame() -> None:
    frame = COLUMNS.tensors(tensors(2))
    pd.testing.assert_frame_equal(frame, COLUMNS.rows([ROW, ROW]))
    nested = tensors(2, delay={"shape": (2, 1), "values": [[1.5], [1.5]]}, hour={"values": np.array([5, 5])})
    pd.testing.assert_frame_equal(COLUMNS.tensors(nested), frame)


@pytest.mark.parametrize(
    ("instances", "reason", "words"),
    [
        ([{**ROW, "gate": 1}], "unknown-column", "instances[0] has column 'gate', which the model does"),
        ([ROW, {"delay": 1}], "missing-column", "instances[1] lacks columns 'hour', 'carrier', 'late'"),
        ([{**ROW, "hour": 5.5}], "type", "column 'hour' must be a whole number, row 0 has '5.5' (float)"),
        ([ROW, {**ROW, "hour": True}], "type", "column 'hour' must be a whole number, row 1 has 'True'"),
        ([{**ROW, "hour": 2**63}], "type", "column 'hour' must be a whole number"),
        ([{**ROW, "hour": None}], "type", "column 'hour' must be a whole number, row 0 has null"),
        ([{**ROW, "delay": "1.5"}], "type", "column 'delay' must be a number, row 0 has '1.5' (str)"),
        ([{**ROW, "delay": [1]}], "type", "column 'delay' must be a number, row 0 has '[1]' (list)"),
        ([{**ROW, "carrier": 7}], "type", "column 'carrier' must be a text, row 0 has '7' (int)"),
        ([{**ROW, "carrier": None}], "type", "column 'carrier' must be a text, row 0 has null"),
        ([{**ROW, "late": 1}], "type", "column 'late' must be true or false"),
        ([7], "type", "instances[0] must be an object of columns, it is '7' (int)"),
        ([], "shape", "`instances`, a list of one row or more"),
        (None, "shape", "`instances`, a list of one row or more"),
        ([ROW] * 10_001, "shape", "at most 10000 rows, it has 10001"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_by_column(instances: Any, reason: str, words: str) -> None:
    with pytest.raises(Unfit) as refused:
        COLUMNS.rows(instances)
    assert refused.value.reason == reason
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "reason", "words"),
    [
        ({"delay": {"datatype": "BYTES"}}, "type", "column 'delay' must have datatype FP64, it has BYTES"),
        ({"hour": {"datatype": "FP64"}}, "type", "column 'hour' must have datatype INT64, it has FP64"),
        ({"hour": {"values": [5.5]}}, "type", "column 'hour' must be a whole number, row 0"),
        ({"delay": {"shape": (2,)}}, "shape", "must have one number of rows: delay has 2, hour has 1"),
        ({"delay": {"values": [1.0, 2.0]}}, "shape", "'delay' has the shape [1], which is 1 values, and br"),
        ({"delay": {"shape": (1, 2)}}, "shape", "column 'delay' must have the shape [rows], it has [1, 2]"),
        ({"delay": {"shape": ()}}, "shape", "must have the shape [rows], it has []"),
        ({"delay": {"shape": (-1,)}}, "shape", "must have the shape [rows], it has [-1]"),
        ({"delay": {"values": [[1], 2]}}, "shape", "'delay' is ragged"),
        ({"delay": {"values": None}}, "shape", "which is 1 values, and brings 0"),
        ({"delay": {"name": "hour"}}, "shape", "an input is there twice"),
        ({"delay": {"name": "delya"}}, "unknown-column", "has column 'delya', which the model does not know"),
        ({"carrier": {"values": [b"\xff"]}}, "type", "column 'carrier' must be text in UTF-8"),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit_are_refused_by_column(changes: Any, reason: str, words: str) -> None:
    with pytest.raises(Unfit) as refused:
        COLUMNS.tensors(tensors(**changes))
    assert refused.value.reason == reason
    assert words in str(refused.value)


def test_a_column_that_may_be_missing_may_be_missing() -> None:
    columns = Columns(Schema([ColSpec("long", "a"), ColSpec("string", "b", required=False)]))
    assert list(columns.rows([{"a": 1}])) == ["a"]
    assert columns.rows([{"a": 1}, {"a": 1, "b": "x"}])["b"].isna().tolist() == [True, False]
    optional = Columns(Schema([ColSpec("long", "a", required=False)]))
    with pytest.raises(Unfit, match="row 1 has null"):
        optional.rows([{"a": 1}, {}])


ONE = Tensors(Schema([TensorSpec(np.dtype("float32"), (-1, 2))]))
TWO = Tensors(
    Schema([TensorSpec(np.dtype("int64"), (-1,), "ids"), TensorSpec(np.dtype("float64"), (-1, 2), "x")])
)


def test_arrays_have_the_declared_type_and_shape() -> None:
    made = ONE.rows([[1, 2], [3, 4]])
    assert (made.dtype, made.shape) == (np.float32, (2, 2))
    again = ONE.tensors([Tensor("whatever", "FP32", (2, 2), [1, 2, 3, 4])])
    assert (again == made).all()
    named = TWO.rows([{"ids": 1, "x": [1, 2]}])
    assert named["ids"].tolist() == [1]
    assert named["x"].shape == (1, 2)
    assert ONE.metadata() == [{"name": "input", "datatype": "FP32", "shape": [-1, 2]}]


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (lambda: ONE.rows([[1, 2, 3]]), "must have the shape [-1, 2], it has [1, 3]"),
        (lambda: ONE.rows([[1, 2], [3]]), "is ragged"),
        (lambda: ONE.rows([["a", "b"]]), "must hold float32, it holds 'a'"),
        (lambda: ONE.rows([{"x": 1}]), "must hold float32"),
        (lambda: ONE.tensors([Tensor("x", "FP64", (1, 2), [1, 2])]), "must have datatype FP32, it has FP64"),
        (lambda: ONE.tensors([Tensor("x", "FP32", (1, 2), [1])]), "which is 2 values, and brings 1"),
        (lambda: ONE.tensors([Tensor("x", "FP32", (2**32, 2**32), [])]), "and brings 0"),
        (lambda: ONE.tensors([Tensor("x", "FP32", (1, 3), [1, 2, 3])]), "must have the shape [-1, 2]"),
        (lambda: ONE.tensors([Tensor("x", "FP32", (-1, 2), [1, 2])]), "no length is below 0"),
        (lambda: ONE.tensors([]), "takes one tensor, the request has 0"),
        (lambda: TWO.rows([{"ids": 1}]), "must be an object of the tensors ids, x"),
        (lambda: TWO.rows([{"ids": 1.5, "x": [1, 2]}]), "must hold int64, it holds fractions"),
        (lambda: TWO.tensors([Tensor("x", "FP64", (1, 2), [1, 2])]), "the tensors ids, x, the request has x"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(ask: Any, words: str) -> None:
    with pytest.raises(Unfit) as refused:
        ask()
    assert words in str(refused.value)


def test_a_signature_that_nothing_can_be_checked_against_is_not_served() -> None:
    with pytest.raises(Unservable, match="no signature"):
        of_schema(None)
    with pytest.raises(Unservable, match="column 'at' of the signature is of type datetime"):
        of_schema(Schema([ColSpec("datetime", "at")]))
    assert isinstance(of_schema(Schema([ColSpec("double")])), Columns)


@pytest.mark.parametrize(
    ("result", "rows", "tensors"),
    [
        (pd.DataFrame({"p": np.float32([0.5, 1])}), [{"p": 0.5}, {"p": 1.0}], {"p": [0.5, 1.0]}),
        (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]], {"output": [[1, 2], [3, 4]]}),
        ({"a": np.array([1]), "b": ["x"]}, [{"a": 1, "b": "x"}], {"a": [1], "b": ["x"]}),
        ([1, 2], [1, 2], {"output": [1, 2]}),
    ],
)  # fmt: skip
def test_an_answer_is_the_same_in_both_protocols(result: Any, rows: Any, tensors: Any) -> None:
    assert answers.rows(result) == rows
    found = answers.tensors(result, None)
    assert {name: values.tolist() for name, values in found.items()} == tensors
    assert all(values.dtype.kind in "biufO" for values in found.values())


def test_an_output_is_called_what_the_signature_calls_it() -> None:
    assert list(answers.tensors([1.0], Schema([ColSpec("double", "score")]))) == ["score"]
    assert list(answers.tensors([1.0], Schema([ColSpec("double")]))) == ["output"]


# --- the files --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real MLflow model whose code is logged with it."""
    made = tmp_path_factory.mktemp("model")
    code = made / "doubling.py"
    code.write_text(
        textwrap.dedent("""
            import mlflow

            class Doubling(mlflow.pyfunc.PythonModel):
                def predict(self, context, model_input, params=None):
                    return model_input[["delay"]] * 2

            mlflow.models.set_model(Doubling())
        """)
    )
    signature = ModelSignature(SCHEMA, Schema([ColSpec("double", "delay")]))
    mlflow.pyfunc.save_model(
        str(made / "model"), python_model=str(code), signature=signature, pip_requirements=[]
    )
    (made / "model" / "empty.py").touch()
    return made / "model"


def test_a_model_of_mlflow_predicts_what_fits(folder: Path) -> None:
    loaded = Loaded(folder, digest_of(folder))
    result = loaded.predict(loaded.inputs.rows([ROW]))
    assert answers.rows(result) == [{"delay": 3.0}]
    assert loaded.inputs.metadata()[2] == {"name": "carrier", "datatype": "BYTES", "shape": [-1]}


def test_changed_files_are_not_served(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(WrongFiles, match=r"those of the registered version have sha256:0"):
        Loaded(folder, "sha256:0")


def test_the_digest_is_what_sha256sum_says(folder: Path) -> None:
    script = "find . -type f -size +0 -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum"
    listed = subprocess.run(["sh", "-c", script], cwd=folder, check=True, capture_output=True)
    assert digest_of(folder) == f"sha256:{hashlib.sha256(listed.stdout).hexdigest()}"
