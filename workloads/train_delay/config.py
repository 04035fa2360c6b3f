"""The settings of the training; `reference()` states the numbers that it reaches."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrainDelay:
    """What is learned, from which months, how."""

    catalog: str = "iceberg"
    schema: str = "nycflights13"
    train_months: tuple[int, ...] = (1, 2, 3, 4, 5)
    validation_months: tuple[int, ...] = (6,)
    test_months: tuple[int, ...] = (7,)
    late_minutes: int = 15
    """A flight is late when it arrives more than this many minutes after its time (the US DOT's limit)."""
    threshold: float = 0.5
    epochs: int = 6
    batch: int = 1024
    """Rows a rank and step."""
    learning_rate: float = 2e-3
    hidden: int = 64
    seed: int = 13
    rows: int | None = None
    """Take only the first rows of each set."""
    experiment: str = "flight-delays"
    model: str = "delay-classifier"


def reference() -> TrainDelay:
    """January to May, tested on July."""
    return TrainDelay()


def tiny() -> TrainDelay:
    """A few steps, for trying the way itself; registers under a name of its own."""
    return TrainDelay(epochs=1, batch=256, rows=4096, model="delay-classifier-tiny")
