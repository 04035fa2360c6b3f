"""The MLflow run of a training with PyTorch. Rank 0 alone has one."""

from pathlib import Path
from typing import Any

import torch

from workloads import common
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.data import Content, Data
from workloads.train_delay.features import Preprocessing
from workloads.train_delay.model import DelayClassifier
from workloads.train_delay.registry import log_model
from workloads.train_delay.runs import DelayRun
from workloads.train_delay.training import logits

HERE = Path(__file__).parent


class Run(DelayRun):
    """The run of `training`."""

    def __init__(self, settings: TrainDelay, content: Content, training: str, ranks: int = 1) -> None:
        facts = {"threads": str(torch.get_num_threads()), "torch": torch.__version__}
        super().__init__(settings, content, training, ranks=ranks, code=common.code_hash(HERE), facts=facts)

    def finish(
        self, network: DelayClassifier, preprocessing: Preprocessing, test: Data, hashes: list[str]
    ) -> dict[str, Any]:
        """Evaluate on the test month, log, register; returns what the termination message says."""

        def log(folder: Path) -> str:
            weights = folder / "weights"
            torch.save(network.cpu().state_dict(), weights)
            return log_model(
                self.mlflow, self.settings, preprocessing, test.rows, weights,
                serving=HERE / "serving.py",
                requirement=f"torch=={torch.__version__.split('+')[0]}",
            )  # fmt: skip

        scores = torch.sigmoid(logits(network, test)).numpy()
        return self.conclude(test.rows, test.labels.numpy(), scores, hashes, log)
