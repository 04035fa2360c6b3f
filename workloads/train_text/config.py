"""The settings of the training; `tiny()` states the numbers that it reaches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainText:
    """What is learned from which text, how, on what."""

    corpus: str
    """`topics`: what Python's `help()` says of its topics; `stdlib`: the source of Python's library."""
    layers: int
    heads: int
    width: int
    context: int
    """Bytes that the model sees."""
    batch: int
    """Windows of `context` bytes a step, shared evenly by the ranks."""
    steps: int
    warmup_steps: int
    """Steps at the start that are trained but not timed."""
    learning_rate: float
    precision: str
    """`bf16` (weights and sums stay FP32) or `fp32`."""
    compile: bool
    device: str
    """`cuda`, `cpu`, or `auto` for the better one that is there."""
    deterministic: bool
    evaluated: int = 64
    """Windows of the held-out text."""
    weight_decay: float = 0.1
    clip: float = 1.0
    """The most that the gradient's norm may be."""
    seed: int = 13
    log_every: int = 10
    experiment: str = "text"


def reference() -> TrainText:
    """A body as that of GPT-2 124M (12 layers, 768 wide, 1,024 of context), for GPUs."""
    return TrainText(
        corpus="stdlib", layers=12, heads=12, width=768, context=1024, batch=32, steps=300, warmup_steps=30,
        learning_rate=6e-4, precision="bf16", compile=True, device="cuda", deterministic=False,
    )  # fmt: skip


def tiny() -> TrainText:
    """Learns words: a held-out loss of 1.52 nats a byte (Python 3.11.7), after 80 s of one core."""
    return TrainText(
        corpus="topics", layers=4, heads=4, width=128, context=64, batch=16, steps=1000, warmup_steps=20,
        learning_rate=2e-3, precision="fp32", compile=False, device="auto", deterministic=True, evaluated=256,
    )  # fmt: skip
