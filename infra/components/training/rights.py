"""Who may edit a namespace may also train in it: Kubernetes' own roles learn the new kinds."""

from typing import Any

from infra import kube

_KINDS = {
    "trainer.kubeflow.org": ["trainjobs", "trainingruntimes"],
    "jobset.x-k8s.io": ["jobsets"],
    "kubeflow.org": ["mpijobs"],
}
_READ = ["get", "list", "watch"]
_WRITE = ["create", "update", "patch", "delete", "deletecollection"]


def roles() -> list[kube.Manifest]:
    """`edit` (hence `admin`) may do all with jobs, `view` may look; runtimes of the cluster are looked at."""
    shared = _rule("trainer.kubeflow.org", ["clustertrainingruntimes"], _READ)
    return [
        _role("edit", [*(_rule(group, kinds, [*_READ, *_WRITE]) for group, kinds in _KINDS.items()), shared]),
        _role("view", [*(_rule(group, kinds, _READ) for group, kinds in _KINDS.items()), shared]),
    ]


def _rule(group: str, resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": resources, "verbs": verbs}


def _role(extended: str, rules: list[dict[str, Any]]) -> kube.Manifest:
    labels = {f"rbac.authorization.k8s.io/aggregate-to-{extended}": "true"}
    metadata = kube.metadata(f"seatrial-training-{extended}", component="training", labels=labels)
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": metadata,
        "rules": rules,
    }
