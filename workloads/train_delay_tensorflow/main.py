"""Train the delay classifier with TensorFlow: what `train_delay` does, with MultiWorkerMirroredStrategy, one
process a pod, the same rows in each step and the same first weights.

TRAINING_ID names the training: one that is started again under its id goes on from its last checkpoint and
ends with the weights, bit by bit, of one that was never stopped. By hand, alone:

    python -m workloads.train_delay_tensorflow.main --config tiny
"""

from typing import Any

import numpy as np

from workloads.beginning import Beginning
from workloads.train_delay import work
from workloads.train_delay.config import TrainDelay
from workloads.train_delay_tensorflow import config
from workloads.train_delay_tensorflow.tracking import Run
from workloads.train_delay_tensorflow.training import Learner, settle
from workloads.train_delay_tensorflow.workers import Workers


def with_tensorflow(settings: TrainDelay, snapshot: int | None) -> dict[str, Any]:
    beginning = Beginning()
    settle(settings.seed)
    workers = Workers()
    beginning.mark("meet")
    return work.work(settings, snapshot, workers, beginning, learner_of=Learner, run_of=Run, array=np.asarray)


if __name__ == "__main__":
    work.command(with_tensorflow, config, __doc__)
