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

from workloads.common import WorkloadError, by_one
from workloads.train_delay_tensorflow.cluster import find, tf_config

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
        """A lost peer is reported as that: at once if its process ended, in half a minute if it is silent."""
        try:
            yield
        except LOST as error:
            if self.size == 1:
                raise
            said = error.message.splitlines()[0].partition("}} ")[2] or error.message
            raise WorkloadError(f"rank {self.rank} lost another rank: {said}") from error

    def kept(self) -> None:
        """These workers stay to the end."""
