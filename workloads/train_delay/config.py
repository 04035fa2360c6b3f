"""The settings of the training; `reference()` states the numbers that it reaches."""

import re
from dataclasses import asdict, dataclass
from typing import Any

from workloads.common import HopelessError

WORLD_TOLERANCE = 1e-5
"""By how much the loss of a step may differ between one rank and several, or between PyTorch and TensorFlow,
relative to it: the rows of each step are the same, the order in which numbers are summed is not (seen: 2e-7
and 3e-7)."""
WORLD_STEPS = 200
"""For so many steps. Rounding grows with them: where a small training begins to learn its rows by heart, it
was seen to pass 1e-5 after 340 steps, and to reach 6e-3 after 480."""


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
    batch: int = 2048
    """Rows a step, shared evenly by the ranks: with N of them each takes batch / N, so that their number
    changes how fast is learned and not what."""
    learning_rate: float = 2e-3
    hidden: int = 64
    seed: int = 13
    rows: int | None = None
    """Take only the first rows of each set."""
    experiment: str = "flight-delays"
    model: str = "delay-classifier"
    against: str = ""
    """A registered version that is tested on the same rows, `NAME/VERSION`; its predictions are kept too."""
    log_every: int = 10
    """Steps after which the ranks share their losses, and rank 0 hands them to MLflow."""
    checkpoint_every: int = 100
    """Steps of an epoch after which a checkpoint is kept; each epoch's end is one too."""
    checkpoints_kept: int = 3

    def __post_init__(self) -> None:
        for name in ("epochs", "batch", "log_every", "checkpoint_every", "checkpoints_kept"):
            if getattr(self, name) < 1:
                raise HopelessError(f"setting {name} must be at least 1, it is {getattr(self, name)}")
        if self.against and not re.fullmatch(r"[^/:]+/[1-9][0-9]*", self.against):
            raise HopelessError(
                "setting against must be NAME/VERSION of a registered version, for example "
                f"delay-classifier/3: it is '{self.against}'"
            )
        months = self.train_months + self.validation_months + self.test_months
        if not set(months) <= set(range(1, 13)) or len(months) > len(set(months)):
            raise HopelessError(
                "train_months, validation_months and test_months must be months (1 to 12), each named once: "
                f"they are {self.train_months}, {self.validation_months} and {self.test_months}"
            )

    def identity(self) -> dict[str, Any]:
        """What decides what is learned: a checkpoint is only used by a training that has the same."""
        no_matter = {"log_every", "checkpoint_every", "checkpoints_kept", "against"}
        return {name: value for name, value in asdict(self).items() if name not in no_matter}


def reference() -> TrainDelay:
    """January to May, tested on July."""
    return TrainDelay()


def tiny() -> TrainDelay:
    """A few steps, for trying the way itself; registers under a name of its own."""
    return TrainDelay(epochs=1, batch=512, rows=4096, model="delay-classifier-tiny")
