"""A running platform as its users reach it: credentials, port-forwards, ready-made clients, workloads.

with client.Platform.connect(kubeconfig=path) as platform:
    client.deploy(platform, "ingest-flights", objects)
    platform.sql("SELECT count(*) FROM iceberg.nycflights13.flights")
"""

from client.errors import ClientError
from client.jobs import JobResult, completed, deploy
from client.objects import served_kinds
from client.platform import Platform
from client.progress import Progress, Silent
from client.queues import offers
from client.removal import delete_workloads
from infra import outputs

__all__ = [
    "ClientError",
    "JobResult",
    "Platform",
    "Progress",
    "Silent",
    "completed",
    "delete_workloads",
    "deploy",
    "offers",
    "outputs",
    "served_kinds",
]
