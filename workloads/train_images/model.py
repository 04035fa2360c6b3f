"""Two networks for images (batch, channels, side, side): a small one, and ResNet-50."""

import torch
import torch.nn.functional as F
from torch import nn

from workloads.train_images.config import TrainImages
from workloads.train_images.flops import STAGES


def network(settings: TrainImages) -> nn.Module:
    """Gives the logits of the classes."""
    if settings.net == "small":
        return small(settings.side, settings.channels, settings.classes)
    return ResNet50(settings.channels, settings.classes)


def small(side: int, channels: int, classes: int) -> nn.Sequential:
    """Three convolutions, the last of which halves the image. No norm over the batch: several ranks compute
    what one does. No pooling: on GPUs its gradient may differ from run to run.
    """
    return nn.Sequential(
        nn.Conv2d(channels, 32, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64 * (side // 2) ** 2, classes),
    )


def normed(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """A convolution without bias, and a norm over the batch."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Bottleneck(nn.Module):
    """Narrow, convolve, widen; added to what came in, which is adapted where the shape changes."""

    def __init__(self, inputs: int, width: int, stride: int, adapt: bool) -> None:
        super().__init__()
        self.narrow = normed(inputs, width, 1)
        self.convolve = normed(width, width, 3, stride)
        self.widen = normed(width, 4 * width, 1)
        self.shortcut = normed(inputs, 4 * width, 1, stride) if adapt else nn.Identity()
        # Each block begins as if it were not there (Goyal et al. 2017).
        nn.init.zeros_(self.widen[1].weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = F.relu(self.convolve(F.relu(self.narrow(x))))
        return F.relu(self.widen(inner) + self.shortcut(x))


class ResNet50(nn.Module):
    """He et al. 2015, with the image halved in a block's 3 x 3 convolution (version 1.5)."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(normed(channels, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1))
        blocks, inputs = [], 64
        for stage, (count, width) in enumerate(STAGES):
            for block in range(count):
                stride = 2 if stage and not block else 1
                blocks.append(Bottleneck(inputs, width, stride, adapt=not block))
                inputs = 4 * width
        self.blocks = nn.Sequential(*blocks)
        self.head = nn.Linear(inputs, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.blocks(self.stem(images)).mean((2, 3)))
        return logits
