"""One trial of a Katib experiment: the training of main.py's trials, with settings from the command line.

Katib makes a Job for each trial, and reads `name=value` from what it prints.
"""

import argparse
import math
from collections.abc import Sequence
from typing import Any

from workloads import common
from workloads.common import HopelessError
from workloads.settings import changed
from workloads.tune_delay import config
from workloads.tune_delay.config import METRIC, SPACE, Choice, TuneDelay


def parameters(arguments: Sequence[str]) -> tuple[TuneDelay, int | None, dict[str, Any]]:
    """The settings, the snapshot, and a value for each name of the search space."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument("--snapshot", type=int, help="of the flights in Iceberg (default: the last loaded)")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    for name, searched in SPACE.items():
        parser.add_argument(f"--{name}", required=True, type=int if isinstance(searched, Choice) else float)
    given = parser.parse_args(arguments)
    chosen = {name: getattr(given, name) for name in SPACE}
    return changed(getattr(config, given.config)(), given.set), given.snapshot, chosen


def tell(epoch: int, figures: dict[str, float]) -> None:
    """A line for each figure, in the form in which Katib looks for them."""
    print(f"epoch={epoch}", flush=True)
    for name, value in figures.items():
        if not math.isfinite(value):
            raise HopelessError(f"after epoch {epoch} {name} is {value}")
        print(f"{name}={value:.6f}", flush=True)


def train(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Train once; says the objective as it was after the last epoch."""
    from workloads.tune_delay.delay import Delay  # It needs PyTorch, and what Katib is told does not.

    settings, snapshot, chosen = parameters(arguments)
    common.seed_everything(settings.seed)
    seen: list[float] = []

    def both(epoch: int, figures: dict[str, float]) -> None:
        tell(epoch, figures)
        seen.append(figures[METRIC])

    Delay(settings.training, snapshot).fit(chosen, both)
    return {"parameters": chosen, METRIC: seen[-1]}


if __name__ == "__main__":
    common.run(train)
