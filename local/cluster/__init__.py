"""A Kubernetes cluster of several nodes in network namespaces of this one machine."""

from local.cluster.cluster import TOOLS, Cluster, down_all, find_leftovers
from local.cluster.layout import NODES
from local.cluster.status import ClusterStatus

__all__ = ["NODES", "TOOLS", "Cluster", "ClusterStatus", "down_all", "find_leftovers"]
