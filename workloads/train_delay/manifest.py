"""The objects that run the training, one rank a pod, never two on one node.

A TrainJob where the platform has the part `training`: its pods are made anew when one is lost, and the
training goes on from its last checkpoint. Elsewhere a Job, which is tried once. Both run torchrun in the same
container; PET_* variables tell it which rank it is: Trainer sets them for a TrainJob, the Job for itself.
"""

import uuid
from typing import Any

from workloads.pods import access, container, labels, pod

NAME = "train-delay"
PORT = 29500
FORMS = ("TrainJob", "Job")
"""The better one first."""
RUNTIME = "torch"
"""The ClusterTrainingRuntime: where ranks run, as whom, and how often they are made anew."""


def objects(
    image: str,
    *,
    form: str = "TrainJob",
    name: str = NAME,
    config: str = "reference",
    ranks: int = 2,
    namespace: str = "workloads",
    training: str | None = None,
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """The objects in one of the FORMS; `training` is the id of one to go on with, else a new one begins."""
    main = container(
        image,
        "workloads.torchrun",
        ["-m", "workloads.train_delay.main", "--config", config, *(arguments or [])],
        cpu="200m",
        memory="700Mi",
        memory_limit="2Gi",
    )
    identity = {"name": "TRAINING_ID", "value": training or f"{name}-{uuid.uuid4().hex[:8]}"}
    main["env"].append(identity)
    if form == "TrainJob":
        return [_train_job(main, name, ranks, namespace)]
    return [_service(name, namespace), _job(main, name, ranks, namespace)]


def _train_job(main: dict[str, Any], name: str, ranks: int, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {
            "runtimeRef": {"name": RUNTIME},
            "trainer": {
                "image": main["image"],
                "command": main["command"],
                # A TrainJob has no envFrom.
                "env": [*main["env"], *access()],
                "numNodes": ranks,
                # Else Trainer takes the limit of CPUs for it.
                "numProcPerNode": 1,
                "resourcesPerNode": main["resources"],
            },
        },
    }


def _service(name: str, namespace: str) -> dict[str, Any]:
    """Not called like the Job: JobSet wants that name for the Service of a TrainJob."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-ranks", "namespace": namespace, "labels": labels(name)},
        "spec": {
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": labels(name),
            "ports": [{"name": "rendezvous", "port": PORT}],
        },
    }


def _job(main: dict[str, Any], name: str, ranks: int, namespace: str) -> dict[str, Any]:
    main["env"] += [
        {"name": "PET_NNODES", "value": str(ranks)},
        {"name": "PET_NPROC_PER_NODE", "value": "1"},
        # The Job numbers its pods in this label.
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{_INDEX}']"}}},
        {"name": "PET_MASTER_ADDR", "value": f"{name}-0.{name}-ranks.{namespace}.svc.cluster.local"},
        {"name": "PET_MASTER_PORT", "value": str(PORT)},
    ]
    apart = {
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": labels(name)}}
            ]
        }
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {
            "completionMode": "Indexed",
            "completions": ranks,
            "parallelism": ranks,
            # A rank that is lost takes the others with it: training again is a decision, not a retry.
            "backoffLimit": 0,
            "activeDeadlineSeconds": 1200,
            "template": pod(name, main, subdomain=f"{name}-ranks", affinity=apart),
        },
    }


_INDEX = "batch.kubernetes.io/job-completion-index"
