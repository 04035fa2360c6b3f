"""A Kubernetes cluster of several nodes in network namespaces of this one machine."""

from local.cluster.cleanup import known
from local.cluster.cluster import TOOLS, Cluster, down_all, find_leftovers
from local.cluster.layout import NODES, check_name
from local.cluster.status import ClusterStatus

__all__ = ["NODES", "TOOLS", "Cluster", "ClusterStatus", "check_name", "down_all", "find_leftovers", "known"]
