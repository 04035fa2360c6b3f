"""What the adapter may read of the cluster: which pods a selector picks, where pods are scaled."""

from typing import Any

from infra import kube

_GROUP = "rbac.authorization.k8s.io"


def objects(name: str, account: dict[str, str], namespace: str) -> list[kube.Manifest]:
    """Upstream's role reads pods, services, nodes and namespaces of all the cluster, for metrics of each."""
    metadata: dict[str, Any] = kube.metadata(name, namespace, component=name)
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    return [
        {"apiVersion": f"{_GROUP}/v1", "kind": "Role", "metadata": metadata, "rules": rules},
        {
            "apiVersion": f"{_GROUP}/v1",
            "kind": "RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _GROUP, "kind": "Role", "name": name},
            "subjects": [account],
        },
    ]
