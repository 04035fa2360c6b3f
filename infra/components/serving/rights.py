"""Who may edit a namespace may also serve models in it: Kubernetes' own roles learn KServe's kinds."""

from infra import kube

_KINDS = ["inferenceservices", "servingruntimes"]
_SHARED = ["clusterservingruntimes", "clusterstoragecontainers"]
_READ = ["get", "list", "watch"]
_WRITE = [*_READ, "create", "update", "patch", "delete", "deletecollection"]


def roles() -> list[kube.Manifest]:
    """`edit` (hence `admin`) may do all with what is served, `view` may look; what the cluster shares too."""
    return [_role("edit", _WRITE), _role("view", _READ)]


def _role(extended: str, verbs: list[str]) -> kube.Manifest:
    labels = {f"rbac.authorization.k8s.io/aggregate-to-{extended}": "true"}
    rules = [
        {"apiGroups": ["serving.kserve.io"], "resources": kinds, "verbs": allowed}
        for kinds, allowed in ((_KINDS, verbs), (_SHARED, _READ))
    ]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": kube.metadata(f"seatrial-serving-{extended}", component="serving", labels=labels),
        "rules": rules,
    }
