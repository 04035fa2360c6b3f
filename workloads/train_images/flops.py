"""How many parameters the networks have and how many FLOPs they take, from the shapes of their layers.

Counted are the multiply-adds of convolutions and of the last layer, two FLOPs each; norms, activations and
pooling are left out, as is usual. Backward takes twice what forward takes.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """A convolution with square kernel; the last layer is one with kernel and side 1."""

    inputs: int
    outputs: int
    kernel: int
    side: int
    """Height and width of what comes out."""
    extra: int
    """Parameters besides the weights: a bias (`outputs`) or a norm (2 `outputs`)."""

    @property
    def weights(self) -> int:
        return self.kernel**2 * self.inputs * self.outputs


def layers(net: str, side: int, channels: int, classes: int) -> list[Layer]:
    """Those of `small` or `resnet50`, in order."""
    return _small(side, channels, classes) if net == "small" else _resnet50(side, channels, classes)


def parameters(all_layers: list[Layer]) -> int:
    return sum(layer.weights + layer.extra for layer in all_layers)


def forward(all_layers: list[Layer]) -> int:
    """FLOPs for one image."""
    return sum(2 * layer.weights * layer.side**2 for layer in all_layers)


def training(all_layers: list[Layer]) -> int:
    """FLOPs for one image, forward and backward."""
    return 3 * forward(all_layers)


def _small(side: int, channels: int, classes: int) -> list[Layer]:
    half = side // 2
    return [
        Layer(channels, 32, 3, side, 32),
        Layer(32, 64, 3, side, 64),
        Layer(64, 64, 3, half, 64),
        Layer(64 * half**2, classes, 1, 1, classes),
    ]


STAGES = ((3, 64), (4, 128), (6, 256), (3, 512))
"""Blocks of each stage of ResNet-50, and the width inside them; four times that comes out."""


def _resnet50(side: int, channels: int, classes: int) -> list[Layer]:
    side = _half(side)
    found = [_normed(channels, 64, 7, side)]
    side, inputs = _half(side), 64
    for stage, (blocks, width) in enumerate(STAGES):
        for block in range(blocks):
            before = side
            if stage and not block:
                side = _half(side)
            found += [
                _normed(inputs, width, 1, before),
                # Here the image is halved, not one layer earlier (version 1.5).
                _normed(width, width, 3, side),
                _normed(width, 4 * width, 1, side),
            ]
            if not block:
                found.append(_normed(inputs, 4 * width, 1, side))
            inputs = 4 * width
    return [*found, Layer(inputs, classes, 1, 1, classes)]


def _normed(inputs: int, outputs: int, kernel: int, side: int) -> Layer:
    return Layer(inputs, outputs, kernel, side, 2 * outputs)


def _half(side: int) -> int:
    return (side + 1) // 2
