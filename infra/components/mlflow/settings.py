"""What a person may choose about MLflow."""

from pydantic import Field

from infra.settings_base import Resources, Settings


class MlflowSettings(Settings):
    workers: int = Field(default=2, ge=1)
    """Server processes in the pod, about 300 MiB each."""
    default_permission: str = Field(default="READ", pattern="^(READ|USE|EDIT|MANAGE|NO_PERMISSIONS)$")
    """What a user may do with an experiment or model that nobody granted."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names, besides the cluster's own, by which users reach MLflow: `mlflow.example.com`.
    Any other Host header is refused with 403."""
    resources: Resources = Resources(cpu="100m", memory="1536Mi")
