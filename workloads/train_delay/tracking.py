"""The MLflow run of a training: what it was made of, how it went, what came out. Rank 0 alone has one."""

import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from workloads import common, tracking
from workloads.train_delay import metrics
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.data import Content, Data
from workloads.train_delay.features import KEY, Preprocessing
from workloads.train_delay.model import DelayClassifier
from workloads.train_delay.registry import register
from workloads.train_delay.training import Learner, logits

HERE = Path(__file__).parent


class Run(tracking.Run):
    """The run of `training`."""

    def __init__(self, settings: TrainDelay, content: Content, training: str, ranks: int = 1) -> None:
        self.settings = settings
        self.lineage = lineage(settings, content)
        parameters = {**asdict(settings), "ranks": ranks}
        super().__init__(settings.experiment, {**self.lineage, **hardware()}, parameters, training)

    def tell(self, learner: Learner) -> None:
        """Hand over the losses so far; nobody waits for the server."""
        self.recorder.series("loss", learner.losses)
        self.recorder.series("train_loss", learner.train_losses)
        self.recorder.series("validation_loss", learner.validation_losses)

    def finish(
        self, network: DelayClassifier, preprocessing: Preprocessing, test: Data, hashes: list[str]
    ) -> dict[str, Any]:
        """Evaluate on the test month, log, register; returns what the termination message says."""
        scores = torch.sigmoid(logits(network, test)).numpy()
        report = metrics.report(self.settings, test.labels.numpy(), scores) | {"weights_sha256": hashes}
        for name, value in (report["metrics"] | report["confusion"]).items():
            self.recorder.series(f"test_{name}", [value])
        with self.calls(), tempfile.TemporaryDirectory() as folder:
            self.recorder.flush()
            self.mlflow.log_dict(report, "evaluation.json")
            path = Path(folder) / "predictions.parquet"
            kept = test.rows[[*KEY, "arr_delay"]].assign(late_probability=scores)
            kept.to_parquet(path, index=False)
            self.mlflow.log_artifact(str(path))
            tags = {**self.lineage, "run_id": self.id, "weights_sha256": hashes[0]}
            version = register(
                self.mlflow, self.settings, network, preprocessing, test.rows, Path(folder), tags
            )
            self.mlflow.end_run()
        return {
            "run_id": self.id, "model": self.settings.model, "version": version, "restarts": self.restarts,
            **self.lineage, "weights_sha256": hashes, **report["metrics"],
        }  # fmt: skip


def lineage(settings: TrainDelay, content: Content) -> dict[str, str]:
    """Where a model comes from: data, code and image."""
    image = os.environ.get("SEATRIAL_IMAGE", "unknown")
    return {
        "snapshot_id": str(content.flights_snapshot),
        "weather_snapshot_id": str(content.weather_snapshot),
        "table": f"{settings.catalog}.{settings.schema}.flights",
        "data_sha256": content.flights_sha256,
        "code_sha256": common.code_hash(HERE),
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
    return {
        "cpu": cpu,
        "cpus": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
