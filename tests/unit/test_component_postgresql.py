"""PostgreSQL's manifests: every database is made, by a Job that follows the list, with its own password."""

import base64
from typing import Any

import pytest

from infra.components.postgresql.component import Postgresql, PostgresqlInputs
from infra.components.postgresql.settings import PostgresqlSettings
from infra.components.postgresql.sql import DatabaseWish, script
from tests.unit.fake_cloud import FakeCloud, provision

ICEBERG = DatabaseWish(name="iceberg", tables="CREATE TABLE IF NOT EXISTS t (a int);")
MLFLOW_AUTH = DatabaseWish(name="mlflow_auth")


def cloud(*wishes: DatabaseWish, **settings: Any) -> FakeCloud:
    inputs = PostgresqlInputs(namespace="data", image="postgres:17", databases=wishes)
    return provision(lambda: Postgresql("postgresql", PostgresqlSettings(**settings), inputs))


def jobs(made: FakeCloud) -> list[str]:
    return [key for key in made.objects if key.startswith("Job/")]


def test_each_database_has_a_secret_with_a_password_of_its_own() -> None:
    made = cloud(ICEBERG, MLFLOW_AUTH).objects
    secrets = [made[f"Secret/postgresql-{name}"] for name in ("postgres", "iceberg", "mlflow-auth")]
    passwords = {each["data"]["password"] for each in secrets}
    assert len(passwords) == 3
    assert all(len(base64.b64decode(each)) >= 24 for each in passwords)


def test_the_job_is_given_the_password_of_each_database() -> None:
    made = cloud(ICEBERG, MLFLOW_AUTH)
    container = made.pods()[jobs(made)[0]]["containers"][0]
    given = {each["name"]: each["valueFrom"]["secretKeyRef"]["name"] for each in container["env"]}
    assert given["ICEBERG_PASSWORD"] == "postgresql-iceberg"
    assert given["MLFLOW_AUTH_PASSWORD"] == "postgresql-mlflow-auth"


def test_another_list_of_databases_is_another_job_and_the_same_list_the_same() -> None:
    one, same, two = cloud(ICEBERG), cloud(ICEBERG), cloud(ICEBERG, MLFLOW_AUTH)
    assert jobs(one) == jobs(same)
    assert jobs(one) != jobs(two)


def test_another_list_of_databases_leaves_the_server_alone() -> None:
    one, two = cloud(ICEBERG), cloud(ICEBERG, MLFLOW_AUTH)
    assert one.objects["StatefulSet/postgresql"] == two.objects["StatefulSet/postgresql"]


def test_the_script_makes_what_is_missing_and_lets_nobody_else_in() -> None:
    text = script([ICEBERG])
    assert "WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'iceberg') \\gexec" in text
    assert 'REVOKE ALL ON DATABASE "iceberg" FROM PUBLIC;' in text


def test_tables_are_made_by_the_owner_in_the_database() -> None:
    lines = script([ICEBERG]).splitlines()
    steps = [lines.index(each) for each in ("\\connect iceberg", 'SET ROLE "iceberg";', ICEBERG.tables)]
    assert steps == sorted(steps)


def test_the_server_takes_its_limits_from_the_settings() -> None:
    made = cloud(ICEBERG, max_connections=33, volume="7Gi")
    stateful_set = made.objects["StatefulSet/postgresql"]
    assert "max_connections=33" in made.pods()["StatefulSet/postgresql"]["containers"][0]["args"]
    claim = stateful_set["spec"]["volumeClaimTemplates"][0]
    assert claim["spec"]["resources"]["requests"]["storage"] == "7Gi"


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_probes_ask_over_tcp_where_the_first_start_does_not_listen_yet(probe: str) -> None:
    container = cloud(ICEBERG).pods()["StatefulSet/postgresql"]["containers"][0]
    assert "127.0.0.1" in container[probe]["exec"]["command"]


def test_a_forwarded_port_needs_a_password_too() -> None:
    container = cloud(ICEBERG).pods()["StatefulSet/postgresql"]["containers"][0]
    initdb = {each["name"]: each.get("value") for each in container["env"]}["POSTGRES_INITDB_ARGS"]
    assert "--auth-host=scram-sha-256" in initdb.split()
