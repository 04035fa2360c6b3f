"""The Deployment of the bandit, and the account by which it may change one HTTPRoute and nothing else."""

from typing import Any

from workloads.pods import container, labels, pod
from workloads.settings import stated
from workloads.steer_traffic import config as configurations

NAME = "steer-traffic"
PARTS = ("serving",)


def objects(
    image: str,
    *,
    config: str = "reference",
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """One pod. A second one would do no harm: who comes second finds that nothing is new."""
    settings = stated(getattr(configurations, config)(), arguments)
    main = container(
        image,
        "workloads.steer_traffic.main",
        ["--config", config, *(arguments or [])],
        cpu="20m",
        memory="128Mi",
        memory_limit="512Mi",
    )
    template = pod(
        NAME, main, restartPolicy="Always", serviceAccountName=NAME, automountServiceAccountToken=True
    )
    spec = {
        "replicas": 1,
        "strategy": {"type": "Recreate"},
        "selector": {"matchLabels": {"app.kubernetes.io/name": NAME}},
        "template": template,
    }
    rule = {
        "apiGroups": ["gateway.networking.k8s.io"],
        "resources": ["httproutes"],
        "resourceNames": [settings.model],
        "verbs": ["get", "patch"],
    }
    group = "rbac.authorization.k8s.io"
    binding = {
        "roleRef": {"apiGroup": group, "kind": "Role", "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": namespace}],
    }
    return [
        _object("v1", "ServiceAccount", namespace),
        _object(f"{group}/v1", "Role", namespace, rules=[rule]),
        _object(f"{group}/v1", "RoleBinding", namespace, **binding),
        _object("apps/v1", "Deployment", namespace, spec=spec),
    ]


def _object(version: str, kind: str, namespace: str, **more: Any) -> dict[str, Any]:
    metadata = {"name": NAME, "namespace": namespace, "labels": labels(NAME)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **more}
