"""One Secret with addresses and credentials, for a job to take as its environment (`envFrom`)."""

from dataclasses import dataclass

import pulumi

from infra import kube
from infra.connections import Database, Login, Store
from infra.secrets import ComposedSecret


@dataclass(frozen=True, kw_only=True)
class Studies:
    """Where Optuna keeps studies, and where they are seen."""

    database: Database
    dashboard_url: pulumi.Input[str]


@dataclass(frozen=True, kw_only=True)
class Serving:
    """How models and applications are reached, and where what they said is kept."""

    bookings: Database
    gateway_url: pulumi.Input[str]
    gateway_ca: pulumi.Input[str]
    api_key: pulumi.Input[str]
    """Of the tenant that workloads are."""


@dataclass(frozen=True, kw_only=True)
class WorkloadAccessInputs:
    """What other components must hand over."""

    namespace: str
    secret: str
    """Name of the Secret."""
    store: Store
    bucket: str
    """For files of jobs."""
    warehouse_bucket: str
    """With the files of Iceberg tables."""
    staging: Database
    trino: Login
    trino_ca: pulumi.Input[str]
    mlflow: Login
    prometheus_url: pulumi.Input[str]
    alertmanager_url: pulumi.Input[str]
    studies: Studies | None
    """Those of Optuna; None without the part `tuning`."""
    serving: Serving | None
    """None without the part `serving`."""


class WorkloadAccess(pulumi.ComponentResource):
    secret: str
    """Name of the Secret, in the namespace of workloads."""

    def __init__(
        self, name: str, inputs: WorkloadAccessInputs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("seatrial:platform:WorkloadAccess", name, {}, opts)
        metadata = kube.metadata(inputs.secret, inputs.namespace, component="workload-access")
        child = pulumi.ResourceOptions(parent=self)
        entries = {
            **_data(inputs),
            **_services(inputs),
            **_tuning(inputs.studies),
            **_serving(inputs.serving),
        }
        ComposedSecret(metadata, entries, child)
        self.secret = inputs.secret
        self.register_outputs({"secret": self.secret})


def _data(inputs: WorkloadAccessInputs) -> dict[str, pulumi.Input[str]]:
    store, staging = inputs.store, inputs.staging
    return {
        "AWS_ENDPOINT_URL": store.endpoint,
        "AWS_REGION": store.region,
        "AWS_ACCESS_KEY_ID": store.access_key,
        "AWS_SECRET_ACCESS_KEY": store.secret_key,
        "S3_BUCKET": inputs.bucket,
        "S3_WAREHOUSE_BUCKET": inputs.warehouse_bucket,
        "PGHOST": staging.host,
        "PGPORT": str(staging.port),
        "PGDATABASE": staging.name,
        "PGUSER": staging.user,
        "PGPASSWORD": staging.password,
    }


def _services(inputs: WorkloadAccessInputs) -> dict[str, pulumi.Input[str]]:
    return {
        "TRINO_URL": inputs.trino.url,
        "TRINO_USER": inputs.trino.user,
        "TRINO_PASSWORD": inputs.trino.password,
        "TRINO_CA": inputs.trino_ca,
        "MLFLOW_TRACKING_URI": inputs.mlflow.url,
        "MLFLOW_TRACKING_USERNAME": inputs.mlflow.user,
        "MLFLOW_TRACKING_PASSWORD": inputs.mlflow.password,
        "PROMETHEUS_URL": inputs.prometheus_url,
        "ALERTMANAGER_URL": inputs.alertmanager_url,
    }


def _tuning(studies: Studies | None) -> dict[str, pulumi.Input[str]]:
    if studies is None:
        return {}
    return {
        "OPTUNA_STORAGE": studies.database.account_url("postgresql+psycopg"),
        "OPTUNA_DASHBOARD_URL": studies.dashboard_url,
    }


def _serving(serving: Serving | None) -> dict[str, pulumi.Input[str]]:
    if serving is None:
        return {}
    return {
        "BOOKINGS_DATABASE": serving.bookings.account_url("postgresql"),
        "GATEWAY_URL": serving.gateway_url,
        "GATEWAY_CA": serving.gateway_ca,
        "GATEWAY_API_KEY": serving.api_key,
    }
