"""The settings of the search: what is tried, how often, and when a silent worker counts as dead."""

from dataclasses import dataclass, field

from workloads.train_delay.config import TrainDelay

METRIC = "validation_roc_auc"
"""The objective, which is to be large."""


@dataclass(frozen=True)
class Number:
    """A number between two limits, sampled on a logarithmic scale."""

    low: float
    high: float


@dataclass(frozen=True)
class Choice:
    """One of a few whole numbers."""

    options: tuple[int, ...]


SPACE: dict[str, Number | Choice] = {
    "learning_rate": Number(1e-4, 3e-2),
    "weight_decay": Number(1e-7, 1e-3),
    "hidden": Choice((16, 32, 64, 128)),
    "batch": Choice((512, 1024, 2048, 4096)),
}
"""What is searched. `learning_rate`, `hidden` and `batch` are settings of the training, `weight_decay` is
Adam's.
"""


@dataclass(frozen=True)
class TuneDelay:
    """How many trials, of what, and how they are chosen, cut short and watched."""

    trials: int = 24
    """Trials that end with a result, complete or pruned: exactly so many."""
    training: TrainDelay = field(
        default_factory=lambda: TrainDelay(
            epochs=8, experiment="flight-delays-tuning", model="delay-classifier-tuned"
        )
    )
    """Data, label and the most epochs of a trial; what `SPACE` names is replaced."""
    sampler: str = "tpe"
    """`tpe` or `random`."""
    pruner: str = "asha"
    """`asha` (successive halving), `median` or `none`."""
    seed: int = 13
    heartbeat: int = 5
    """A running trial is marked alive every so many seconds."""
    grace: int = 30
    """A trial that was not marked for so many seconds is given up and tried again."""
    retries: int = 10
    """How often one trial may lose its worker before the study is given up."""


def reference() -> TuneDelay:
    """24 trials of at most 8 epochs on January to May, judged on June."""
    return TuneDelay()


def tiny() -> TuneDelay:
    """Eight trials on 4,096 rows, for trying the way itself; registers under a name of its own."""
    return TuneDelay(
        trials=8,
        training=TrainDelay(
            epochs=4, rows=4096, experiment="flight-delays-tuning", model="delay-classifier-tuned-tiny"
        ),
        heartbeat=1,
        grace=6,
    )
