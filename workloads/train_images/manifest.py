"""The pods that run the training, as a gang (gang.py): `tiny` on CPUs, `reference` with `gpus` a pod.

It keeps no checkpoints: a TrainJob that loses a pod begins again, in a run of its own.
"""

from typing import Any

from workloads import gang

NAME = "train-images"
FORMS = gang.FORMS


def objects(
    image: str,
    *,
    form: str = "TrainJob",
    name: str = NAME,
    config: str = "tiny",
    ranks: int = 2,
    gpus: int = 0,
    namespace: str = "workloads",
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """The objects in one of the FORMS: `ranks` pods, each with `gpus` GPUs and as many processes.

    Without GPUs a pod has one process. With them `image` must hold a PyTorch for them.
    """
    main = gang.torchrun(
        image,
        "workloads.train_images.main",
        ["--config", config, *(arguments or [])],
        gpus=gpus,
        cpu="200m",
        memory="700Mi",
        memory_limit="2Gi",
    )
    return gang.objects(main, form=form, name=name, pods=ranks, gpus=gpus, namespace=namespace)
