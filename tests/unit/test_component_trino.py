"""Trino's files, its password file and certificate, and the pods that get them."""

import base64
import hashlib
import json
import ssl
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infra.components.trino import certificate, configuration
from infra.components.trino.component import Trino, TrinoInputs
from infra.components.trino.passwords import password_file
from infra.components.trino.settings import TrinoSettings
from tests.unit.fake_cloud import FakeCloud, database, provision, store


def cloud(**settings: Any) -> FakeCloud:
    def build() -> None:
        inputs = TrinoInputs(
            namespace="data",
            image="trino:1",
            iceberg=database("iceberg"),
            postgresql=database("staging"),
            store=store(),
            warehouse="warehouse",
        )
        Trino("trino", TrinoSettings.model_validate(settings), inputs)

    existing = {"data/own": {"data": {"ca.crt": base64.b64encode(b"PEM").decode()}}}
    return provision(build, existing)


def properties(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines())


def test_clients_must_log_in_over_tls() -> None:
    config = properties(cloud().objects["ConfigMap/trino-etc"]["data"]["config.properties"])
    assert config["http-server.authentication.type"] == "PASSWORD"
    assert config["http-server.https.enabled"] == "true"


def test_the_service_shows_clients_only_the_port_with_tls() -> None:
    ports = cloud().objects["Service/trino"]["spec"]["ports"]
    assert [each["port"] for each in ports] == [8443]


def test_every_file_that_the_pod_mounts_is_in_the_config_map() -> None:
    made = cloud(workers=1)
    for name in ("trino", "trino-worker"):
        volumes = made.pods()[f"Deployment/{name}"]["volumes"]
        items = volumes[0]["projected"]["sources"][0]["configMap"]["items"]
        assert {each["key"] for each in items} == set(made.objects[f"ConfigMap/{name}-etc"]["data"])


def test_iceberg_keeps_its_catalog_in_postgresql_and_its_files_in_the_store() -> None:
    data = cloud().objects["ConfigMap/trino-etc"]["data"]
    iceberg = properties(data["catalog-iceberg.properties"])
    assert iceberg["iceberg.jdbc-catalog.connection-url"] == "jdbc:postgresql://pg:5432/iceberg"
    assert iceberg["s3.endpoint"] == "http://s3:7070"
    assert iceberg["iceberg.jdbc-catalog.default-warehouse-dir"] == "s3://warehouse/iceberg"


def test_no_password_is_in_a_config_map_and_each_variable_is_in_the_secret() -> None:
    made = cloud()
    text = json.dumps(made.objects["ConfigMap/trino-etc"]["data"])
    assert "-password\\n" not in text
    given = made.objects["Secret/trino-connections"]["data"]
    wanted = {part.split("}")[0] for part in text.split("${ENV:")[1:]}
    assert wanted == set(given)


def test_without_workers_the_coordinator_works_itself() -> None:
    config = properties(cloud().objects["ConfigMap/trino-etc"]["data"]["config.properties"])
    assert config["node-scheduler.include-coordinator"] == "true"


def test_workers_find_the_coordinator_and_leave_it_the_lead() -> None:
    made = cloud(workers=3)
    worker = properties(made.objects["ConfigMap/trino-worker-etc"]["data"]["config.properties"])
    lead = properties(made.objects["ConfigMap/trino-etc"]["data"]["config.properties"])
    assert made.objects["Deployment/trino-worker"]["spec"]["replicas"] == 3
    assert worker["coordinator"] == "false"
    assert worker["discovery.uri"] == "http://trino-internal:8080"
    assert made.objects["Service/trino-internal"]["spec"]["ports"][0]["port"] == 8080
    assert lead["node-scheduler.include-coordinator"] == "false"


def test_a_changed_heap_restarts_the_pod() -> None:
    def hashed(heap: int) -> str:
        made = cloud(coordinator={"heap_mib": heap})
        template = made.objects["Deployment/trino"]["spec"]["template"]
        return str(template["metadata"]["annotations"]["seatrial.dev/configuration"])

    assert hashed(1536) == hashed(1536)
    assert hashed(1536) != hashed(2048)


def test_prometheus_logs_in_as_a_user_who_may_read_no_data() -> None:
    made = cloud()
    endpoint = made.objects["ServiceMonitor/trino"]["spec"]["endpoints"][0]
    secret = made.objects["Secret/trino-credentials"]["data"]
    user = base64.b64decode(secret[endpoint["basicAuth"]["username"]["key"]]).decode()
    rules = json.loads(made.objects["ConfigMap/trino-etc"]["data"]["rules.json"])
    assert {"user": user, "allow": "none"} == rules["catalogs"][0]


def test_a_given_certificate_is_used_and_none_is_made() -> None:
    made = cloud(certificate="own")
    sources = made.pods()["Deployment/trino"]["volumes"][0]["projected"]["sources"]
    assert "Secret/trino-tls" not in made.objects
    assert "own" in [each.get("secret", {}).get("name") for each in sources]


def test_the_password_file_has_the_hash_that_trino_computes() -> None:
    user, iterations, salt, digest = password_file({"ann": "word"}).strip().split(":")
    expected = hashlib.pbkdf2_hmac("sha1", b"word", bytes.fromhex(salt), int(iterations))
    assert (user, digest) == ("ann", expected.hex())


def test_the_password_file_is_the_same_in_every_run() -> None:
    assert password_file({"ann": "word"}) == password_file({"ann": "word"})
    assert password_file({"ann": "word"}) != password_file({"ann": "other"})


def test_users_with_the_same_password_have_different_salts() -> None:
    lines = password_file({"ann": "word", "bob": "word"}).splitlines()
    assert len({line.split(":")[2] for line in lines}) == 2


@pytest.fixture
def made() -> dict[str, str]:
    return certificate.make(["trino", "trino.data.svc", "localhost"])


def test_the_certificate_names_every_way_to_trino(made: dict[str, str]) -> None:
    server = x509.load_pem_x509_certificate(made["tls-combined.pem"].encode())
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["trino", "trino.data.svc", "localhost"]


def test_the_key_fits_the_certificate_that_the_authority_signed(made: dict[str, str]) -> None:
    server = x509.load_pem_x509_certificate(made["tls-combined.pem"].encode())
    authority = x509.load_pem_x509_certificate(made["ca.crt"].encode())
    key = load_pem_private_key(made["tls-combined.pem"].encode(), None)
    assert key.public_key() == server.public_key()
    server.verify_directly_issued_by(authority)


def test_a_strict_client_takes_the_authority(made: dict[str, str]) -> None:
    context = ssl.create_default_context(cadata=made["ca.crt"])
    assert context.cert_store_stats()["x509_ca"] == 1


def test_every_catalog_has_a_file() -> None:
    files = configuration.catalogs(
        iceberg_url="",
        iceberg_user="",
        warehouse="",
        s3={"endpoint": "", "region": ""},
        postgresql={"url": "", "user": ""},
    )
    assert set(files) == {f"catalog-{name}.properties" for name in configuration.CATALOGS}
