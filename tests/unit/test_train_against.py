"""A training that tests a registered version on its own test rows: a real model of MLflow, in a process."""

import json
import shutil
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.types import ColSpec, Schema

from workloads import common, tracking
from workloads.common import HopelessError, WorkloadError
from workloads.settings import changed
from workloads.train_delay import against, config
from workloads.train_delay.data import Content
from workloads.train_delay.features import KEY
from workloads.train_delay.runs import DelayRun

SETTINGS = changed(config.tiny(), ["against=delay-c/3"])
CODE = """
import mlflow
import pandas as pd

class Version(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        from workloads.train_delay.features import FACTOR
        self.factor = FACTOR

    def predict(self, context, model_input, params=None):
        return pd.DataFrame({"late_probability": model_input["dep_delay"] * self.factor})

mlflow.models.set_model(Version())
"""


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a version whose `features` are not those of this checkout."""
    made = tmp_path_factory.mktemp("version")
    package = made / "workloads" / "train_delay"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").touch()
    (package / "features.py").write_text("FACTOR = 0.01")
    (made / "version.py").write_text(textwrap.dedent(CODE))
    mlflow.pyfunc.save_model(
        str(made / "model"),
        python_model=str(made / "version.py"),
        code_paths=[str(made / "workloads")],
        signature=ModelSignature(
            Schema([ColSpec("long", "hour"), ColSpec("double", "dep_delay")]),
            Schema([ColSpec("double", "late_probability")]),
        ),
        pip_requirements=["torch==9.9.9"],
    )
    settings = made / "model" / "artifacts" / "settings"
    settings.parent.mkdir()
    settings.write_text(json.dumps({"late_minutes": 15}))
    return made / "model"


def rows_of(count: int = 40) -> pd.DataFrame:
    """Test rows; their index begins somewhere, and some of their types are not those of the signature."""
    columns = {name: "x" for name in KEY} | {"hour": np.int32(7), "arr_delay": 0.0}
    return pd.DataFrame({**columns, "dep_delay": np.arange(count, dtype=np.int32)}, index=range(9, 9 + count))


def registry(folder: Path) -> Any:
    """MLflow, with this version."""

    def download(artifact_uri: str, dst_path: str) -> str:
        assert artifact_uri == "models:/delay-c/3"
        return str(shutil.copytree(folder, Path(dst_path) / "model"))

    return Some(artifacts=Some(download_artifacts=download))


def test_a_registered_version_scores_the_test_rows_by_its_own_code(registered: Path) -> None:
    found = against.scores(registry(registered), SETTINGS, rows_of())
    np.testing.assert_allclose(found, np.arange(40) / 100)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (rows_of().drop(columns="hour"), r"(?s)delay-c/3 .* cannot score .*missing inputs \['hour'\]"),
        (rows_of(200), r"delay-c/3 .* gave no probability for each of 200 test flights"),
    ],
)
def test_a_version_that_lacks_a_column_or_answers_nonsense_fails_by_name(
    registered: Path, rows: pd.DataFrame, words: str
) -> None:
    with pytest.raises(HopelessError, match=words):
        against.scores(registry(registered), SETTINGS, rows)


def test_a_version_is_not_told_what_is_known_only_later(
    registered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[pd.DataFrame] = []

    def score(_: str, __: Path, rows: Path, scores: Path) -> None:
        given.append(pd.read_parquet(rows))
        pd.DataFrame({"late_probability": np.zeros(len(given[0]))}).to_parquet(scores)

    monkeypatch.setattr(against, "_score", score)
    against.scores(registry(registered), SETTINGS, rows_of())
    assert set(given[0]) == set(rows_of()) - {"arr_delay"}
    assert given[0].dtypes[["hour", "dep_delay"]].astype(str).tolist() == ["int64", "float64"]


def test_a_version_that_cannot_be_loaded_fails_with_the_cause(registered: Path, tmp_path: Path) -> None:
    broken = Path(shutil.copytree(registered, tmp_path / "broken"))
    shutil.rmtree(broken / "code")
    with pytest.raises(
        HopelessError, match="cannot score the test flights: ImportError: cannot import name 'FACTOR'"
    ):
        against.scores(registry(broken), SETTINGS, rows_of())


def test_a_version_that_was_taught_another_meaning_of_late_is_not_compared(registered: Path) -> None:
    settings = changed(SETTINGS, ["late_minutes=30"])
    with pytest.raises(HopelessError, match="late means over 30 minutes here, and 15 to version delay-c/3"):
        against.scores(registry(registered), settings, rows_of())


def test_a_version_that_is_not_there_is_told_before_anything_is_learned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow")

    def server(error: Exception) -> Any:
        def fail(name: str, number: str) -> None:
            assert (name, number) == ("delay-c", "3")
            raise error

        return Some(tracking=Some(MlflowClient=lambda: Some(get_model_version=fail)))

    monkeypatch.setattr(common, "mlflow", lambda: server(MlflowException("none", RESOURCE_DOES_NOT_EXIST)))
    with pytest.raises(HopelessError, match="the registry has no version delay-c/3"):
        run(SETTINGS)
    with pytest.raises(WorkloadError, match="MLflow at http://mlflow failed: OSError: away") as away:
        against.require(server(OSError("away")), "delay-c/3")
    assert not isinstance(away.value, HopelessError)


@pytest.mark.parametrize("version", ["delay-c", "delay-c/", "delay-c/new", "models:/delay-c/3", "delay-c/0"])
def test_what_names_no_version_is_refused(version: str) -> None:
    with pytest.raises(HopelessError, match="setting against must be NAME/VERSION"):
        changed(config.tiny(), [f"against={version}"])


def test_what_a_training_is_tested_against_does_not_change_what_it_learns() -> None:
    assert SETTINGS.identity() == config.tiny().identity()


def run(settings: Any) -> DelayRun:
    return DelayRun(settings, Content(1, 2, "d"), "t", ranks=1, code="c", facts={})


@pytest.mark.parametrize("settings", [SETTINGS, config.tiny()])
def test_both_sets_of_predictions_are_logged_in_the_run(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: dict[str, pd.DataFrame] = {}
    reports: list[dict[str, Any]] = []

    def log_artifact(path: str) -> None:
        kept[Path(path).name] = pd.read_parquet(path)

    def begin(self: Any, *_: Any) -> None:
        self.mlflow = Some(
            log_dict=lambda report, _: reports.append(report), log_artifact=log_artifact, end_run=lambda: None
        )
        self.recorder = Some(series=lambda *_: None, flush=lambda: None)
        self.id, self.restarts = "r", 0

    ignore: Callable[..., Any] = lambda *_: None  # noqa: E731
    monkeypatch.setattr(tracking.Run, "__init__", begin)
    monkeypatch.setattr(tracking.Run, "be_active", ignore)
    monkeypatch.setattr(DelayRun, "_register", lambda *_: "4")
    monkeypatch.setattr(common, "mlflow", ignore)
    monkeypatch.setattr(against, "require", ignore)
    monkeypatch.setattr(against, "scores", lambda _, __, test: np.full(len(test), 0.75))
    rows = rows_of(4).assign(arr_delay=[0, 0, 30, 30])
    own = np.array([0.1, 0.2, 0.3, 0.9])
    run(settings).conclude(rows, np.array([0, 0, 1, 1]), own, ["w"], lambda _: "4")
    assert kept["predictions.parquet"]["late_probability"].tolist() == own.tolist()
    if settings.against:
        other = kept["predictions_against.parquet"]
        assert other["late_probability"].tolist() == [0.75] * 4
        assert other.drop(columns="late_probability").equals(
            kept["predictions.parquet"].drop(columns="late_probability")
        )
        assert reports[0]["against"]["version"] == "delay-c/3"
        assert reports[0]["against"]["metrics"]["accuracy"] == 0.5
    else:
        assert list(kept) == ["predictions.parquet"]
        assert "against" not in reports[0]
