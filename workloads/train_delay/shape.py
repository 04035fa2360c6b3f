"""The network's shape and its first weights, whatever framework computes with them: an embedding for each
category, two hidden layers, one number that says how likely the flight is late.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Weights:
    """What is learned."""

    embeddings: list[np.ndarray]
    """Of each category: (codes, width)."""
    layers: list[tuple[np.ndarray, np.ndarray]]
    """Of each layer the kernel (inputs, outputs) and the bias (outputs)."""


@dataclass(frozen=True)
class Shape:
    """`sizes` are the codes of each category, `numeric` is the number of other features."""

    sizes: list[int]
    numeric: int
    hidden: int

    @property
    def widths(self) -> list[int]:
        """Of each embedding."""
        return [min(16, (size + 1) // 2) for size in self.sizes]

    @property
    def layers(self) -> list[tuple[int, int]]:
        """Inputs and outputs of each layer."""
        outputs = [self.hidden, self.hidden // 2, 1]
        return list(zip([sum(self.widths) + self.numeric, *outputs], outputs, strict=False))

    def first_weights(self, seed: int) -> Weights:
        """Drawn as PyTorch would draw them, but by NumPy: every framework begins with the same."""
        # RandomState, not Generator: its numbers are the same in every version of NumPy.
        dice = np.random.RandomState(seed)

        def uniform(inputs: int, *size: int) -> np.ndarray:
            return dice.uniform(-(inputs**-0.5), inputs**-0.5, size).astype(np.float32)

        return Weights(
            embeddings=[
                dice.normal(size=(size, width)).astype(np.float32)
                for size, width in zip(self.sizes, self.widths, strict=True)
            ],
            layers=[
                (uniform(inputs, inputs, outputs), uniform(inputs, outputs))
                for inputs, outputs in self.layers
            ],
        )
