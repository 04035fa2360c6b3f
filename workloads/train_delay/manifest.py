"""The pods that run the training, one rank a pod, as a gang (gang.py); as a TrainJob it goes on from its last
checkpoint when a pod is lost.
"""

from typing import Any

from workloads import gang, pods

NAME = "train-delay"
FORMS = gang.FORMS


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
    main = gang.torchrun(
        image,
        "workloads.train_delay.main",
        ["--config", config, *(arguments or [])],
        gpus=0,
        cpu="200m",
        memory="700Mi",
        memory_limit="2Gi",
    )
    main["env"].append(pods.identity(name, training))
    return gang.objects(main, form=form, name=name, pods=ranks, gpus=0, namespace=namespace)
