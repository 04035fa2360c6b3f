"""The objects of a gang: pods that train together, one a node, which find each other and end together.

A TrainJob where the platform has the part `training`: its pods are made anew when one is lost. Elsewhere a
Job, which is tried once. Both run the same container; PET_* variables tell it which rank it is:
Trainer sets them for a TrainJob, the Job for itself.
"""

from typing import Any

from workloads.pods import access, container, labels, on_a_node, pod

PORT = 29500
FORMS = ("TrainJob", "Job")
"""The better one first."""
RUNTIME, GPU_RUNTIME, TENSORFLOW_RUNTIME = "torch", "torch-gpu", "tensorflow"
"""The ClusterTrainingRuntimes: where ranks run, as whom, and how often they are made anew."""
GPU = "nvidia.com/gpu"
GPU_MEMORY = "32Gi"
"""The most that a pod with GPUs may take of its node's memory."""


def torchrun(
    image: str, module: str, arguments: list[str], *, gpus: int, cpu: str, memory: str, memory_limit: str
) -> dict[str, Any]:
    """The container that runs `module`, in a process for each of its GPUs, in one if it has none."""
    main = container(
        image,
        "workloads.torchrun",
        ["-m", module, *arguments],
        cpu=cpu,
        memory=memory,
        memory_limit=GPU_MEMORY if gpus else memory_limit,
    )
    if gpus:
        # A process needs a core to feed its GPU, and another one for what it starts.
        main["resources"]["limits"] |= {GPU: str(gpus), "cpu": str(2 * gpus)}
        main["resources"]["requests"][GPU] = str(gpus)
    return main


def alone(
    image: str, module: str, arguments: list[str], *, cpu: str, memory: str, memory_limit: str
) -> dict[str, Any]:
    """The container that runs `module` in one process, which finds the others by itself."""
    main = container(image, module, arguments, cpu=cpu, memory=memory, memory_limit=memory_limit)
    # As process 1 it would take no signal that it has no handler for, and could not be killed from inside.
    main["command"] = ["sh", "-c", '"$@"; exit $?', "sh", *main["command"]]
    return main


def objects(
    main: dict[str, Any],
    *,
    form: str,
    name: str,
    pods: int,
    gpus: int,
    namespace: str,
    runtime: str | None = None,
) -> list[dict[str, Any]]:
    """The container `main` in `pods` pods, each with `gpus` GPUs, in one of the FORMS.

    `runtime` is what a TrainJob names, where that is not PyTorch's.
    """
    if form == "TrainJob":
        runtime = runtime or (GPU_RUNTIME if gpus else RUNTIME)
        return [_train_job(main, name, pods, gpus, namespace, runtime)]
    return [_service(name, namespace), _job(main, name, pods, gpus, namespace)]


def workload(
    module: str,
    image: str,
    *,
    name: str,
    form: str = "TrainJob",
    config: str = "tiny",
    ranks: int = 2,
    gpus: int = 0,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """The objects of a workload that trains, in one of the FORMS: `ranks` pods, each with `gpus` GPUs
    and as many processes.

    Without GPUs a pod has one process. With them `image` must hold a PyTorch for them.
    """
    main = torchrun(
        image, module, ["--config", config, *(arguments or [])],
        gpus=gpus, cpu="200m", memory="700Mi", memory_limit="2Gi",
    )  # fmt: skip
    return objects(main, form=form, name=name, pods=ranks, gpus=gpus, namespace=namespace)


def _train_job(
    main: dict[str, Any], name: str, pods: int, gpus: int, namespace: str, runtime: str
) -> dict[str, Any]:
    return {
        "apiVersion": "trainer.kubeflow.org/v1alpha1",
        "kind": "TrainJob",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {
            "runtimeRef": {"name": runtime},
            "trainer": {
                "image": main["image"],
                "command": main["command"],
                # A TrainJob has no envFrom.
                "env": [*main["env"], *access()],
                "numNodes": pods,
                # Else Trainer takes the limit of CPUs for it.
                "numProcPerNode": gpus or 1,
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


def _job(main: dict[str, Any], name: str, pods: int, gpus: int, namespace: str) -> dict[str, Any]:
    main["env"] += [
        {"name": "PET_NNODES", "value": str(pods)},
        {"name": "PET_NPROC_PER_NODE", "value": str(gpus or 1)},
        # The Job numbers its pods in this label.
        {"name": "PET_NODE_RANK", "valueFrom": {"fieldRef": {"fieldPath": f"metadata.labels['{_INDEX}']"}}},
        {"name": "PET_MASTER_ADDR", "value": f"{name}-0.{name}-ranks.{namespace}.svc.cluster.local"},
        {"name": "PET_MASTER_PORT", "value": str(PORT)},
    ]
    apart = {"podAntiAffinity": on_a_node(labels(name))}
    tolerated = {"tolerations": [{"key": GPU, "operator": "Exists", "effect": "NoSchedule"}]} if gpus else {}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "namespace": namespace, "labels": labels(name)},
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            # A rank that is lost takes the others with it: training again is a decision, not a retry.
            "backoffLimit": 0,
            "activeDeadlineSeconds": 1200,
            "template": pod(name, main, subdomain=f"{name}-ranks", affinity=apart, **tolerated),
        },
    }


_INDEX = "batch.kubernetes.io/job-completion-index"
