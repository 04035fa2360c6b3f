"""The MLflow run of a training of the delay model, whatever framework trains: what it was made of, how it
went, what came out.
"""

import os
import platform
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from workloads import common, tracking
from workloads.train_delay import against, metrics
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.course import Course
from workloads.train_delay.data import Content
from workloads.train_delay.features import KEY

HERE = Path(__file__).parent


class DelayRun(tracking.Run):
    """The run of `training` by so many ranks; `facts` are the framework's own tags."""

    def __init__(
        self,
        settings: TrainDelay,
        content: Content,
        training: str,
        *,
        ranks: int,
        code: str,
        facts: dict[str, str],
    ) -> None:
        self.settings = settings
        if settings.against:
            against.require(common.mlflow(), settings.against)
        self.lineage = lineage(settings, content, code)
        parameters = {**asdict(settings), "ranks": ranks}
        super().__init__(settings.experiment, {**self.lineage, **hardware(), **facts}, parameters, training)

    def tell(self, learner: Course) -> None:
        """Hand over the losses so far, and who was slowest; nobody waits for the server."""
        self.recorder.series("loss", learner.losses)
        self.recorder.series("train_loss", learner.train_losses)
        self.recorder.series("validation_loss", learner.validation_losses)
        self.recorder.series("slowest_rank", learner.slowest)
        self.recorder.series("times_the_fastest", learner.times_the_fastest)

    def conclude(
        self,
        test: pd.DataFrame,
        labels: np.ndarray,
        scores: np.ndarray,
        hashes: list[str],
        log_model: Callable[[Path], str],
    ) -> dict[str, Any]:
        """Log how good the scores of the test month are, register; returns what the termination message says.

        `log_model` gets a folder for files in between and gives the number of the version that it registers.
        """
        report = metrics.report(self.settings, labels, scores) | {"weights_sha256": hashes}
        for name, value in (report["metrics"] | report["confusion"]).items():
            self.recorder.series(f"test_{name}", [value])
        predictions = {metrics.PREDICTIONS: scores}
        if self.settings.against:
            others = against.scores(self.mlflow, self.settings, test)
            predictions[metrics.PREDICTIONS_AGAINST] = others
            reached = metrics.summary(labels, others, self.settings.threshold)
            report["against"] = {"version": self.settings.against, "metrics": reached}
        with self.calls(), tempfile.TemporaryDirectory() as folder:
            self.recorder.flush()
            self.be_active()
            self.mlflow.log_dict(report, metrics.EVALUATION)
            for name, of_each in predictions.items():
                path = Path(folder) / name
                kept = test[[*KEY, "arr_delay"]].assign(late_probability=of_each)
                kept.to_parquet(path, index=False)
                self.mlflow.log_artifact(str(path))
            tags = {**self.lineage, "run_id": self.id, "weights_sha256": hashes[0]}
            version = self._register(tags, lambda: log_model(Path(folder)))
            self.mlflow.end_run()
        return {
            "run_id": self.id, "model": self.settings.model, "version": version, "restarts": self.restarts,
            **self.lineage, "weights_sha256": hashes, **report["metrics"],
        }  # fmt: skip

    def _register(self, tags: dict[str, str], log_model: Callable[[], str]) -> str:
        """The number of the version; one that the run registered before it was killed is taken as it is."""
        client, name = self.mlflow.tracking.MlflowClient(), self.settings.model
        known = client.search_model_versions(f"name = '{name}' and run_id = '{self.id}'")
        version = str(known[0].version) if known else log_model()
        for key, value in tags.items():
            client.set_model_version_tag(name, version, key, value)
        return version


def lineage(settings: TrainDelay, content: Content, code: str) -> dict[str, str]:
    """Where a model comes from: data, code (its hash) and image."""
    image = os.environ.get("SEATRIAL_IMAGE", "unknown")
    return {
        "snapshot_id": str(content.flights_snapshot),
        "weather_snapshot_id": str(content.weather_snapshot),
        "table": f"{settings.catalog}.{settings.schema}.flights",
        "data_sha256": content.flights_sha256,
        "code_sha256": code,
        "features_sha256": common.digest((HERE / "features.py").read_bytes()),
        "image": image,
        "image_digest": image.partition("@")[2] or "unknown",
    }


def hardware() -> dict[str, str]:
    cpu = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {"cpu": cpu, "cpus": str(os.cpu_count()), "python": platform.python_version()}
