"""Plain MultiWorkerMirroredStrategy that can stop after any step and go on as if it had not.

What the next step depends on is all in `Learner`: weights, optimizer, place in the data.
"""

import hashlib
import io
import json
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from workloads.train_delay.config import TrainDelay
from workloads.train_delay.course import Course
from workloads.train_delay.data import Data
from workloads.train_delay.features import Preprocessing
from workloads.train_delay_tensorflow.model import DelayClassifier
from workloads.train_delay_tensorflow.workers import Workers

loss_of = tf.nn.sigmoid_cross_entropy_with_logits


def settle(seed: int) -> None:
    """Ask for the same bits each time. Before TensorFlow does anything."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


class Adam(keras.optimizers.Adam):
    """Adam as PyTorch computes it: epsilon is added to the corrected root, and single precision is not enough
    for the corrections of the first steps.
    """

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        index = self._get_variable_index(variable)
        mean, square = self._momentums[index], self._velocities[index]
        self.assign_add(mean, (gradient - mean) * (1 - self.beta_1))
        self.assign(square, square * self.beta_2 + tf.square(gradient) * (1 - self.beta_2))
        done = tf.cast(self.iterations + 1, tf.float64)
        rate = tf.cast(learning_rate, tf.float64) / (1 - self.beta_1**done)
        root = tf.sqrt(square) / tf.cast(tf.sqrt(1 - self.beta_2**done), tf.float32)
        self.assign_sub(variable, tf.cast(rate, tf.float32) * mean / (root + self.epsilon))


class Learner(Course):
    """The network and how far it has come."""

    def __init__(
        self, settings: TrainDelay, preprocessing: Preprocessing, data: Data, workers: Workers
    ) -> None:
        super().__init__(settings, workers.rank, workers.size, len(data.labels))
        self.data, self.workers = data, workers
        shape = preprocessing.shape(settings.hidden)
        with workers.strategy.scope():
            self.network = DelayClassifier(shape)
            self.network.take(shape.first_weights(settings.seed))
            self.optimizer = Adam(settings.learning_rate, epsilon=1e-8)
            self.optimizer.build(self.network.trainable_variables)
        self.one = tf.function(lambda *rows: workers.strategy.run(self._one, rows))

    def _one(self, inputs: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """One step on this worker's share of the batch; its loss."""
        weights = self.network.trainable_variables
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(loss_of(labels, self.network(inputs)))
            share = loss / self.size
        # As dense gradients they are summed together; the optimizer sums them over the workers.
        gradients = [tf.convert_to_tensor(each) for each in tape.gradient(share, weights)]
        self.optimizer.apply(gradients, weights)
        return loss

    def advance(self) -> None:
        own: list[float] = []
        with self.workers.peers():
            for step in range(self.step, self.until()):
                chosen = self.share(step)
                own.append(float(self.one(self.data.inputs[chosen], self.data.labels[chosen])))
        everyone = np.array(self.workers.gather(own))
        self.took(everyone.mean(axis=0).tolist())

    def end_epoch(self, validation: Data) -> None:
        """Judge what was learned, and begin the next epoch."""
        losses = loss_of(validation.labels, logits(self.network, validation.inputs))
        self.next_epoch(float(tf.reduce_mean(losses)))

    def weights_hash(self) -> str:
        whole = hashlib.sha256()
        for number, weight in enumerate(self.network.get_weights()):
            whole.update(f"{number}\0".encode() + weight.tobytes())
        return whole.hexdigest()

    def state(self) -> bytes:
        arrays = {f"{number:02d}": value.numpy() for number, value in enumerate(self._variables())}
        progress = json.dumps(self.progress())
        buffer = io.BytesIO()
        np.savez(buffer, progress=np.array(progress), **arrays)
        return buffer.getvalue()

    def restore(self, state: bytes) -> None:
        with np.load(io.BytesIO(state), allow_pickle=False) as kept:
            for number, variable in enumerate(self._variables()):
                variable.assign(kept[f"{number:02d}"])
            self.resume(json.loads(str(kept["progress"])))

    def _variables(self) -> list[Any]:
        return [*self.network.trainable_variables, *self.optimizer.variables]


def logits(network: DelayClassifier, inputs: np.ndarray) -> tf.Tensor:
    return network(tf.constant(inputs))
