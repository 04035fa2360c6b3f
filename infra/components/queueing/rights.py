"""Who may look into a namespace may see its queue and where its jobs stand in it."""

from infra import kube


def role() -> kube.Manifest:
    """For `view`, hence `edit` and `admin`. Queues and quotas are the platform's to write, not a user's."""
    labels = {"rbac.authorization.k8s.io/aggregate-to-view": "true"}
    rule = {
        "apiGroups": ["kueue.x-k8s.io"],
        "resources": ["localqueues", "workloads"],
        "verbs": ["get", "list", "watch"],
    }
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": kube.metadata("seatrial-queueing-view", component="queueing", labels=labels),
        "rules": [rule],
    }
