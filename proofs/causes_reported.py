"""What a machine for tests must not have, and what would take hours: reported by an exporter in the words of
the real one, so that rule, Prometheus, Alertmanager and receiver are as they are when it happens.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from client import outputs
from proofs.scene import Scene

NODE = 'job="node-exporter",instance="probe",node="probe"'
VERSION = 'model="probe-causes",version="1"'
"""Of no model that proofs serve: a shipper that still runs would say of it how good it really is."""
SHIPPER = f'job="{outputs.NAMESPACE_WORKLOADS}/ship-predictions"'
REACTION = f'job="{outputs.NAMESPACE_WORKLOADS}/react"'


def _volume(namespace: str, claim: str) -> str:
    """One of 2 GB with 10 MB left."""
    of = f'namespace="{namespace}",persistentvolumeclaim="{claim}"'
    return (
        f"kubelet_volume_stats_available_bytes{{{of}}} 1e7\nkubelet_volume_stats_capacity_bytes{{{of}}} 2e9\n"
    )


SERIES = {
    "PrometheusStorageFills": _volume(outputs.NAMESPACE_MONITORING, "probe"),
    "ObjectStoreVolumeFills": _volume(outputs.NAMESPACE_DATA, "store-object-store-probe"),
    "PostgresqlVolumeFills": _volume(outputs.NAMESPACE_DATA, "data-postgresql-probe"),
    "NodeDiskFills": (
        f'node_filesystem_avail_bytes{{{NODE},mountpoint="/"}} 1e9\n'
        f'node_filesystem_size_bytes{{{NODE},mountpoint="/"}} 1e11\n'
    ),
    "NodeMemoryShort": (
        f"node_memory_MemAvailable_bytes{{{NODE}}} 1e8\nnode_memory_MemTotal_bytes{{{NODE}}} 1e10\n"
    ),
    # 1970: the clock of a machine whose battery is empty.
    "NodeClockSkew": f"node_time_seconds{{{NODE}}} 0\nscrape_duration_seconds{{{NODE}}} 0.01\n",
    "FeedbackStalls": f"feedback_lag_seconds{{{SHIPPER}}} 3600\n",
    "LiveQualityFalls": (
        f"live_accuracy_high{{{VERSION}}} 0.7\n"
        f"live_registered_accuracy{{{VERSION}}} 0.8\n"
        f"live_outcomes{{{VERSION}}} 1000\n"
    ),
    "ReactionFails": f"reaction_oldest_intent_seconds{{{REACTION}}} 36000\n",
}
"""By alert what is reported, in Prometheus' text format."""
WELL = {"FeedbackStalls": f"feedback_lag_seconds{{{SHIPPER}}} 1\n"}
"""What is reported before and after, where silence is an alarm too."""


@contextmanager
def reported(scene: Scene, alert: str) -> Iterator[None]:
    """The figures of this alert are bad meanwhile."""
    scene.exporter.report(alert, SERIES[alert])
    try:
        yield
    finally:
        scene.exporter.report(alert, WELL.get(alert, ""))
