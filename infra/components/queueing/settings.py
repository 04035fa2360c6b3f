"""What a person may choose about queueing by quota."""

from collections.abc import Mapping

from pydantic import Field

from infra.settings_base import Resources, Settings


class PoolSettings(Settings):
    """Nodes of one kind, and how much of them the jobs in the queue may have together."""

    cpu: str
    """Cores, as pods request them."""
    memory: str
    """Likewise, for example `64Gi`."""
    gpus: int = Field(default=0, ge=0)
    """`nvidia.com/gpu`. A pool with GPUs is taken by jobs that want one, and by no other."""
    node_labels: Mapping[str, str] = {}
    """What its nodes are known by, where pools of the same sort must be told apart; jobs get it as their node
    selector. The label of nodes with GPUs need not be named.
    """


class QueueingSettings(Settings):
    resources: Resources = Resources(cpu="10m", memory="128Mi")
    """Kueue's controller and webhook."""
    pools: Mapping[str, PoolSettings] = {
        "cpu": PoolSettings(cpu="2", memory="8Gi"),
        "gpu": PoolSettings(cpu="1", memory="4Gi", gpus=2),
    }
    """The quota, by the name of the pool; a job gets the first pool that it may run in and that has room. The
    default fits the local cluster. A job that wants more than a whole pool waits for ever.
    """
    every_job: bool = False
    """Whether jobs that name no queue are held back too. Else they run as if there were none."""
