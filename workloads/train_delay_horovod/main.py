"""Train the delay classifier with Horovod: what `train_delay` does, with other ranks.

`mpirun` or `horovodrun` starts it, on each host as often as there are slots. Under an elastic `horovodrun`
the ranks may come and go: when they change, each that is left begins anew from the last checkpoint.
"""

import os
from typing import Any

import horovod.torch as hvd
from horovod.torch import elastic

from workloads.beginning import Beginning
from workloads.train_delay import main
from workloads.train_delay.config import TrainDelay
from workloads.train_delay_horovod.group import Horovod

ELASTIC = "HOROVOD_ELASTIC"
"""What an elastic `horovodrun` sets."""


def with_horovod(settings: TrainDelay, snapshot: int | None) -> dict[str, Any]:
    beginning = Beginning()
    hvd.init()
    beginning.mark("meet")
    if os.environ.get(ELASTIC) == "1":
        result = whoever_is_there(settings, snapshot, beginning)
    else:
        result = main.work(settings, snapshot, Horovod(), beginning)
    hvd.shutdown()
    return result


def whoever_is_there(settings: TrainDelay, snapshot: int | None, beginning: Beginning) -> dict[str, Any]:
    """Work with the ranks that are there, again whenever they change.

    The state that Horovod keeps is empty: what all go on from is the checkpoint, which outlives them all.
    """

    @elastic.run
    def work(state: elastic.TorchState) -> dict[str, Any]:
        return main.work(settings, snapshot, Horovod(state), beginning)

    result: dict[str, Any] = work(elastic.TorchState())
    return result


if __name__ == "__main__":
    main.main(with_horovod, __doc__)
