"""A running platform as its users reach it: credentials, port-forwards, ready-made clients, workloads.

with client.Platform.connect(kubeconfig=path) as platform:
    client.deploy(platform, "ingest-flights", objects)
    platform.sql("SELECT count(*) FROM iceberg.nycflights13.flights")
"""

from client.errors import ClientError
from client.jobs import JobResult, delete_workloads, deploy
from client.platform import Platform
from client.progress import Progress, Silent
from infra import outputs

__all__ = [
    "ClientError",
    "JobResult",
    "Platform",
    "Progress",
    "Silent",
    "delete_workloads",
    "deploy",
    "outputs",
]
