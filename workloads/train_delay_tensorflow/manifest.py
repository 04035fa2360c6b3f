"""The TrainJob that runs the training, one worker a pod; when a pod is lost it goes on from its last
checkpoint.
"""

from typing import Any

from workloads import gang, pods

NAME = "train-delay-tensorflow"
FORMS = ("TrainJob",)
"""Its image is not there without the part `training`, so a plain Job would not help."""
IMAGE = "workloads-tensorflow"


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
    """The TrainJob; `training` is the id of one to go on with, else a new one begins."""
    main = gang.alone(
        image,
        "workloads.train_delay_tensorflow.main",
        ["--config", config, *(arguments or [])],
        cpu="200m",
        memory="900Mi",
        memory_limit="2Gi",
    )
    main["env"].append(pods.identity(name, training))
    runtime = gang.TENSORFLOW_RUNTIME
    return gang.objects(main, form=form, name=name, pods=ranks, gpus=0, namespace=namespace, runtime=runtime)
