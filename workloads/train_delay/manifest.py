"""The Job and the headless Service that run the training in pods on different nodes."""

from typing import Any

from workloads.pods import container, labels, pod

NAME = "train-delay"
PORT = 29500


def objects(
    image: str,
    *,
    config: str = "reference",
    ranks: int = 2,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """One indexed Job, a pod a rank, never two on one node; rank 0 is found by its name in the headless
    Service.
    """
    return [_service(namespace), _job(image, config, ranks, namespace, arguments or [])]


def _service(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels(NAME)},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": labels(NAME),
            "ports": [{"name": "rendezvous", "port": PORT}],
        },
    }


def _job(image: str, config: str, ranks: int, namespace: str, arguments: list[str]) -> dict[str, Any]:
    main = container(
        image,
        "workloads.train_delay.main",
        ["--config", config, *arguments],
        cpu="200m",
        memory="700Mi",
        memory_limit="2Gi",
    )
    main["env"] += [
        {"name": "MASTER_ADDR", "value": f"{NAME}-0.{NAME}.{namespace}.svc.cluster.local"},
        {"name": "MASTER_PORT", "value": str(PORT)},
        {"name": "WORLD_SIZE", "value": str(ranks)},
        # PyTorch reads RANK; the Job numbers its pods in this label.
        {"name": "RANK", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{_INDEX}']"}}},
    ]
    apart = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels(NAME)}}
            ]
        }
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": NAME, "namespace": namespace, "labels": labels(NAME)},
        "spec": {
            "completionMode": "Indexed",
            "completions": ranks,
            "parallelism": ranks,
            # A rank that is lost takes the others with it: training again is a decision, not a retry.
            "backoffLimit": 0,
            "activeDeadlineSeconds": 1200,
            "template": pod(NAME, main, subdomain=NAME, affinity=apart),
        },
    }


_INDEX = "batch.kubernetes.io/job-completion-index"
