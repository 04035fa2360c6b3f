"""The settings of `train_delay`, under model names of their own."""

from dataclasses import replace

from workloads.train_delay import config
from workloads.train_delay.config import TrainDelay


def reference() -> TrainDelay:
    """January to May, tested on July."""
    return replace(config.reference(), model="delay-classifier-tensorflow")


def tiny() -> TrainDelay:
    """A few steps, for trying the way itself; registers under a name of its own."""
    return replace(config.tiny(), model="delay-classifier-tensorflow-tiny")
