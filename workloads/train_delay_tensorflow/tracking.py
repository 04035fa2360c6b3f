"""The MLflow run of a training with TensorFlow, and the model that it registers. Rank 0 alone has one."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from workloads import common
from workloads.common import digest
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.data import Content, Data
from workloads.train_delay.features import Preprocessing
from workloads.train_delay.registry import log_model
from workloads.train_delay.runs import DelayRun
from workloads.train_delay_tensorflow.model import DelayClassifier

HERE = Path(__file__).parent


class Run(DelayRun):
    """The run of `training`."""

    def __init__(self, settings: TrainDelay, content: Content, training: str, ranks: int) -> None:
        folders = (HERE, HERE.parent / "train_delay")
        code = digest("".join(map(common.code_hash, folders)).encode())
        facts = {
            "threads": str(tf.config.threading.get_intra_op_parallelism_threads()),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        }
        super().__init__(settings, content, training, ranks=ranks, code=code, facts=facts)

    def finish(
        self, network: DelayClassifier, preprocessing: Preprocessing, test: Data, hashes: list[str]
    ) -> dict[str, Any]:
        """Evaluate on the test month, log, register; returns what the termination message says."""

        def log(folder: Path) -> str:
            weights = folder / "weights.npz"
            np.savez(weights, *network.get_weights())
            return log_model(
                self.mlflow, self.settings, preprocessing, test.rows, weights,
                serving=HERE / "serving.py",
                requirement=f"tensorflow-cpu=={tf.__version__}",
            )  # fmt: skip

        scores = tf.sigmoid(network(tf.constant(test.inputs))).numpy()
        return self.conclude(test.rows, test.labels, scores, hashes, log)
