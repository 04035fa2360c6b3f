"""MLflow's server: who may log in, what it stores where, and what it must not do."""

import base64
from fnmatch import fnmatch
from typing import Any

import pytest

from infra.components.mlflow.component import Mlflow, MlflowInputs
from infra.components.mlflow.settings import MlflowSettings
from tests.unit.fake_cloud import FakeCloud, database, provision, store


def cloud(**settings: Any) -> FakeCloud:
    def build() -> None:
        inputs = MlflowInputs(
            namespace="ml",
            image="mlflow:1",
            tracking=database("mlflow"),
            users=database("mlflow_auth"),
            store=store(),
            bucket="artifacts",
        )
        Mlflow("mlflow", MlflowSettings.model_validate(settings), inputs)

    return provision(build)


def server(made: FakeCloud) -> dict[str, Any]:
    container: dict[str, Any] = made.pods()["Deployment/mlflow"]["containers"][0]
    return container


def option(made: FakeCloud, name: str) -> str:
    command = server(made)["command"]
    return str(command[command.index(name) + 1])


def secret(made: FakeCloud, name: str) -> dict[str, str]:
    data = made.objects[f"Secret/{name}"]["data"]
    return {key: base64.b64decode(value).decode() for key, value in data.items()}


def test_users_need_a_password_which_is_kept_for_a_minute() -> None:
    made = cloud()
    assert option(made, "--app-name") == "basic-auth"
    ini = made.objects["ConfigMap/mlflow-users"]["data"]["basic_auth.ini"]
    assert "auth_cache_ttl_seconds = 60" in ini


def test_the_users_database_is_named_without_its_password() -> None:
    made = cloud()
    ini = made.objects["ConfigMap/mlflow-users"]["data"]["basic_auth.ini"]
    assert "database_uri = postgresql+psycopg://mlflow_auth@pg:5432/mlflow_auth" in ini
    assert secret(made, "mlflow-connections")["PGPASSWORD"] == "mlflow_auth-password"


def test_runs_are_kept_in_postgresql_and_artifacts_in_the_store() -> None:
    made = cloud()
    uri = secret(made, "mlflow-connections")["MLFLOW_BACKEND_STORE_URI"]
    assert uri == "postgresql+psycopg://mlflow:mlflow-password@pg:5432/mlflow"
    assert option(made, "--artifacts-destination") == "s3://artifacts/artifacts"


def test_the_tables_are_migrated_before_the_server_starts() -> None:
    pod = cloud().pods()["Deployment/mlflow"]
    assert "mlflow db upgrade" in pod["initContainers"][0]["command"][-1]


@pytest.mark.parametrize(
    "host",
    ["localhost:5000", "127.0.0.1:41234", "10.201.0.7:5000", "mlflow.ml.svc.cluster.local:5000", "m.example"],
)
def test_known_hosts_are_answered(host: str) -> None:
    patterns = option(cloud(allowed_hosts=["m.example"]), "--allowed-hosts").split(",")
    assert any(fnmatch(host, each) for each in patterns)


@pytest.mark.parametrize("host", ["evil.example", "mlflow.evil.example:5000"])
def test_other_hosts_are_refused(host: str) -> None:
    patterns = option(cloud(), "--allowed-hosts").split(",")
    assert not any(fnmatch(host, each) for each in patterns)


def test_no_jobs_and_no_telemetry() -> None:
    plain = {each["name"]: each.get("value") for each in server(cloud())["env"]}
    assert plain["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    assert plain["MLFLOW_DISABLE_TELEMETRY"] == "true"


def test_prometheus_logs_in_as_the_administrator_by_reference() -> None:
    made = cloud()
    login = made.objects["ServiceMonitor/mlflow"]["spec"]["endpoints"][0]["basicAuth"]
    credentials = secret(made, "mlflow-credentials")
    assert credentials[login["username"]["key"]] == "admin"
    assert login["password"] == {"name": "mlflow-credentials", "key": "password"}


def test_no_password_is_in_the_pod() -> None:
    made = cloud()
    pod = repr(made.pods()["Deployment/mlflow"])
    every = {**secret(made, "mlflow-credentials"), **secret(made, "mlflow-connections")}
    assert not [key for key, value in every.items() if len(value) > 5 and value in pod]
