"""The workers of a TensorFlow training: how they meet, speak with each other, and notice that one is lost.

They are the ranks (`train_delay.work.Ranks`) of MultiWorkerMirroredStrategy, over gRPC rings on CPUs and NCCL
on GPUs. A process that is told of no others trains alone.
"""

import io
import json
import os
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from workloads.common import WorkloadError, by_one

MEETING_S = 180
"""How long workers wait for each other's addresses."""
PORT = 2222


def tf_config() -> dict[str, Any]:
    """What TensorFlow wants to find in TF_CONFIG: every worker's address, and which of them this is.

    Where nobody has set it, it is made of the variables that the runtime `tensorflow` gives: how many nodes
    there are, which of them this is, and the name of the first, which ends in -0 before its first dot.
    """
    if given := os.environ.get("TF_CONFIG"):
        return dict(json.loads(given))
    nodes = int(os.environ.get("PET_NNODES", "1"))
    if nodes == 1:
        return {}
    first, _, domain = os.environ["PET_MASTER_ADDR"].partition(".")
    stem = first.removesuffix("-0")
    workers = [f"{stem}-{index}.{domain}:{PORT}" for index in range(nodes)]
    task = {"type": "worker", "index": int(os.environ["PET_NODE_RANK"])}
    return {"cluster": {"worker": workers}, "task": task}


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
        except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
            if self.size == 1:
                raise
            said = error.message.splitlines()[0].partition("}} ")[2] or error.message
            raise WorkloadError(f"rank {self.rank} lost another rank: {said}") from error

    def kept(self) -> None:
        """These workers stay to the end."""


def find(addresses: list[str]) -> None:
    """Wait until each worker has an address: a pod's name comes with the pod, TensorFlow would not wait."""
    deadline = time.monotonic() + MEETING_S
    for address in addresses:
        host, _, port = address.rpartition(":")
        while True:
            try:
                socket.getaddrinfo(host, int(port))
                break
            except socket.gaierror as error:
                if time.monotonic() > deadline:
                    raise WorkloadError(
                        f"worker {host} has no address after {MEETING_S} s: {error}"
                    ) from error
                time.sleep(0.5)
