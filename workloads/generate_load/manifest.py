"""The Job that sends a load from inside the cluster."""

from typing import Any

from workloads.pods import container, labels, pod

NAME = "generate-load"
PARTS = ("serving",)
AUTHORITY = "gateway-ca"
"""Secret whose `ca.crt` is the authority of the Gateway's certificate, where that is not a public one."""
FOLDER = "/etc/gateway"


def objects(
    image: str,
    *,
    name: str = NAME,
    config: str = "reference",
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """One Job of one pod, which is not tried again: a load that failed half-way has been sent."""
    main = container(
        image,
        "workloads.generate_load.main",
        ["--config", config, *(arguments or [])],
        cpu="500m",
        memory="128Mi",
        memory_limit="512Mi",
    )
    main["env"].append({"name": "GATEWAY_CA", "value": f"{FOLDER}/ca.crt"})
    main["volumeMounts"].append({"name": "authority", "mountPath": FOLDER, "readOnly": True})
    template = pod(name, main)
    authority = {"secretName": AUTHORITY, "optional": True}
    template["spec"]["volumes"].append({"name": "authority", "secret": authority})
    spec = {"backoffLimit": 0, "activeDeadlineSeconds": 3600, "template": template}
    metadata = {"name": name, "namespace": namespace, "labels": labels(name)}
    return [{"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}]
