"""The settings of the training; `tiny()` states the numbers that it reaches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainImages:
    """What is learned from which images, how, on what."""

    data: str
    """`digits`: 1,797 real images in scikit-learn; `generated`: patterns under noise, made on the device."""
    net: str
    """`small` or `resnet50`."""
    side: int
    """Height and width of an image."""
    channels: int
    classes: int
    batch: int
    """Images a step, shared evenly by the ranks."""
    steps: int
    warmup_steps: int
    """Steps at the start that are trained but not timed."""
    learning_rate: float
    precision: str
    """`bf16` (weights and sums stay FP32) or `fp32`."""
    compile: bool
    channels_last: bool
    device: str
    """`cuda`, `cpu`, or `auto` for the better one that is there."""
    deterministic: bool
    momentum: float = 0.9
    weight_decay: float = 5e-5
    seed: int = 13
    log_every: int = 10
    experiment: str = "images"


def reference() -> TrainImages:
    """ResNet-50 at 224 x 224 with 1,000 classes, for GPUs."""
    return TrainImages(
        data="generated", net="resnet50", side=224, channels=3, classes=1000, batch=256, steps=200,
        warmup_steps=30, learning_rate=0.1, precision="bf16", compile=True, channels_last=True, device="cuda",
        deterministic=False,
    )  # fmt: skip


def tiny() -> TrainImages:
    """Reads handwritten digits: accuracy 0.92 on the test images, after 10 s of one core."""
    return TrainImages(
        data="digits", net="small", side=8, channels=1, classes=10, batch=64, steps=400, warmup_steps=20,
        learning_rate=0.1, precision="fp32", compile=False, channels_last=False, device="auto",
        deterministic=True,
    )  # fmt: skip
