"""The MPIJob that runs the training, one rank a worker."""

from typing import Any

from workloads import mpi, pods

NAME = "train-delay-horovod"
FORMS, IMAGE = mpi.FORMS, mpi.IMAGE


def objects(
    image: str,
    *,
    form: str = "MPIJob",
    name: str = NAME,
    config: str = "reference",
    ranks: int = 2,
    elastic: bool = False,
    namespace: str = "workloads",
    training: str | None = None,
    arguments: list[str] | None = None,
) -> list[dict[str, Any]]:
    """`elastic`: go on with fewer ranks when one is lost; `training` is the id of one to go on with."""
    return mpi.objects(
        image,
        "workloads.train_delay_horovod.main",
        ["--config", config, *(arguments or [])],
        name=name,
        workers=ranks,
        elastic=elastic,
        env=[pods.identity(name, training)],
        namespace=namespace,
        memory="700Mi",
        memory_limit="2Gi",
    )
