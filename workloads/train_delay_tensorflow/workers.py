"""The workers of a TensorFlow training: how they meet, speak with each other, and notice that one is lost.

They are the ranks (`train_delay.work.Ranks`) of MultiWorkerMirroredStrategy, over gRPC rings on CPUs and NCCL
on GPUs. A process that is told of no others trains alone.
"""

import io
import json
import os
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf.coordination_config_pb2 import CoordinatedJob
from tensorflow.python.eager import context

from workloads.common import WorkloadError, by_one
from workloads.train_delay_tensorflow.cluster import MEETING_S, find, tf_config

SILENCE_S = 60
"""A worker that is not heard of for so long is lost."""
LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
"""What a collective says whose peer is gone, or is silent."""


class Workers:
    """This worker among the others."""

    def __init__(self) -> None:
        config = tf_config()
        addresses = config.get("cluster", {}).get("worker", [])
        self.rank, self.size = config.get("task", {}).get("index", 0), len(addresses) or 1
        if config:
            os.environ["TF_CONFIG"] = json.dumps(config)
            find(addresses)
            be_patient(self.size)
        gpus = tf.config.list_physical_devices("GPU")
        # The rows of a step are shared by workers: one GPU each.
        tf.config.set_visible_devices(gpus[:1], "GPU")
        self.backend = "NCCL" if gpus else "RING"
        kind = tf.distribute.experimental.CommunicationImplementation[self.backend]
        options = tf.distribute.experimental.CommunicationOptions(implementation=kind)
        self.strategy = tf.distribute.MultiWorkerMirroredStrategy(communication_options=options)

    def gather(self, own: Any) -> list[Any]:
        """The value of each worker, on every worker; pickled, as `torch.distributed` does it."""
        if self.size == 1:
            return [own]
        # The collectives know no bytes.
        said = np.frombuffer(pickle.dumps(own), dtype=np.uint8).astype(np.int32)
        with self.peers():
            everyone = io.BytesIO(self._joined(said).numpy().astype(np.uint8).tobytes())
        return [pickle.load(everyone) for _ in range(self.size)]

    @cached_property
    def _joined(self) -> Callable[[np.ndarray], tf.Tensor]:
        """Every worker's numbers, one after the other; traced once, whatever their count."""

        def each(numbers: tf.Tensor) -> tf.Tensor:
            # What has no device yet cannot be gathered.
            return tf.distribute.get_replica_context().all_gather(tf.identity(numbers), axis=0)

        whole = tf.TensorSpec([None], tf.int32)
        return tf.function(lambda numbers: self.strategy.run(each, (numbers,)), input_signature=[whole])

    def on_rank_0(self, work: Callable[[], Any]) -> Any:
        """Do `work` on rank 0 and give its result to all; if it fails there, it fails everywhere."""
        return by_one(None if self.rank else work, lambda answer: self.gather(answer)[0])

    @contextmanager
    def peers(self) -> Iterator[None]:
        """A lost peer is reported as that: at once when its process ends, later when it is silent."""
        try:
            yield
        except LOST as error:
            if self.size == 1:
                raise
            said = error.message.splitlines()[0].partition("}} ")[2] or error.message
            raise WorkloadError(f"rank {self.rank} lost another rank: {said}") from error

    def kept(self) -> None:
        """These workers stay to the end."""


def be_patient(workers: int) -> None:
    """Give a worker more time to meet and to be silent than TensorFlow does, which has no public name for it.

    Its ten seconds of silence are passed by a process on a busy machine that is well.
    """
    context.context().configure_coordination_service(
        "standalone",
        "/job:worker/replica:0/task:0",
        cluster_register_timeout_in_ms=MEETING_S * 1000,
        heartbeat_timeout_in_ms=SILENCE_S * 1000,
        coordinated_jobs=[CoordinatedJob(name="worker", num_tasks=workers)],
    )
