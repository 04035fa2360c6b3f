"""The network of `train_delay/shape.py` in Keras."""

import keras
import numpy as np
import tensorflow as tf

from workloads.train_delay.shape import Shape, Weights


class DelayClassifier(keras.Model):
    """Takes the matrix that `Preprocessing.apply` makes and gives the logit of "late"."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embeddings = [
            keras.layers.Embedding(size, width) for size, width in zip(shape.sizes, shape.widths, strict=True)
        ]
        hidden, narrower, last = (outputs for _, outputs in shape.layers)
        self.dense = [
            keras.layers.Dense(hidden, "relu"),
            keras.layers.Dense(narrower, "relu"),
            keras.layers.Dense(last),
        ]
        # Keras makes the weights when it sees a row.
        self(np.zeros((1, len(shape.sizes) + shape.numeric), dtype=np.float32))

    def call(self, rows: tf.Tensor) -> tf.Tensor:
        count = len(self.embeddings)
        codes = tf.cast(rows[:, :count], tf.int32)
        embedded = [table(codes[:, i]) for i, table in enumerate(self.embeddings)]
        values = tf.concat([*embedded, rows[:, count:]], axis=1)
        for layer in self.dense:
            values = layer(values)
        return tf.squeeze(values, axis=1)

    def take(self, weights: Weights) -> None:
        """Have these weights."""
        self.set_weights([*weights.embeddings, *(array for layer in weights.layers for array in layer)])
