"""What a person may choose about training."""

from pydantic import Field

from infra.settings_base import Resources, Settings


class RuntimeSettings(Settings):
    """What a TrainJob gets that names one of our runtimes and nothing else."""

    max_restarts: int = Field(default=3, ge=0)
    """How often all pods of a job are made anew after any of them failed; then the job counts as failed.

    It does at once when a pod ended with `outputs.EXIT_HOPELESS`.
    """
    resources: Resources = Resources(cpu="500m", memory="1Gi")
    """Of each node's container."""


class TrainingSettings(Settings):
    jobset: Resources = Resources(cpu="10m", memory="128Mi")
    """JobSet's controller and webhook."""
    trainer: Resources = Resources(cpu="10m", memory="128Mi")
    """Kubeflow Trainer's controller and webhook."""
    mpi_operator: Resources = Resources(cpu="10m", memory="96Mi")
    runtimes: RuntimeSettings = RuntimeSettings()
