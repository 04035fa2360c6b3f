"""The object store: versitygw with its buckets, or an external store that is only read about."""

import base64

import pytest
from pydantic import ValidationError

from infra.components.object_store.component import ObjectStore, ObjectStoreInputs
from infra.components.object_store.settings import ObjectStoreSettings
from tests.unit.fake_cloud import provision

INPUTS = ObjectStoreInputs(namespace="data", image="versitygw:1", buckets=("warehouse", "mlflow"))
EXTERNAL = {
    "endpoint": "https://s3.example.com",
    "credentials": {"namespace": "kept", "name": "s3"},
    "bucket_prefix": "acme-",
}
EXISTING = {
    "kept/s3": {
        "data": {
            "access-key": base64.b64encode(b"AK").decode(),
            "secret-key": base64.b64encode(b"SK").decode(),
        }
    }
}


def test_versitygw_makes_every_bucket_at_each_start() -> None:
    made = provision(lambda: ObjectStore("s3", ObjectStoreSettings(), INPUTS))
    command = made.pods()["StatefulSet/object-store"]["initContainers"][0]["command"]
    assert command[:2] == ["mkdir", "-p"]
    assert {"/store/objects/warehouse", "/store/objects/mlflow"} <= set(command)


def test_versitygw_serves_the_folder_that_holds_the_buckets() -> None:
    made = provision(lambda: ObjectStore("s3", ObjectStoreSettings(), INPUTS))
    container = made.pods()["StatefulSet/object-store"]["containers"][0]
    assert container["args"][-2:] == ["posix", "/store/objects"]
    assert container["readinessProbe"]["httpGet"]["path"] in container["args"]


def test_versitygw_has_keys_of_its_own_that_are_not_in_the_pod() -> None:
    made = provision(lambda: ObjectStore("s3", ObjectStoreSettings(), INPUTS))
    data = made.objects["Secret/object-store-credentials"]["data"]
    pod = repr(made.pods()["StatefulSet/object-store"])
    assert data["access-key"] != data["secret-key"]
    assert all(base64.b64decode(value).decode() not in pod for value in data.values())


def test_an_external_store_adds_no_object_to_the_cluster() -> None:
    settings = ObjectStoreSettings.model_validate({"kind": "external", "external": EXTERNAL})
    made = provision(lambda: ObjectStore("s3", settings, INPUTS), EXISTING)
    assert made.objects == {}


def test_an_external_stores_keys_and_names_are_handed_on() -> None:
    settings = ObjectStoreSettings.model_validate({"kind": "external", "external": EXTERNAL})
    seen: list[str] = []

    def build() -> None:
        store = ObjectStore("s3", settings, INPUTS)
        assert store.buckets["warehouse"] == "acme-warehouse"
        for each in (store.store.access_key, store.store.secret_key, store.endpoint):
            each.apply(seen.append)

    provision(build, EXISTING)
    assert sorted(seen) == ["AK", "SK", "https://s3.example.com"]


@pytest.mark.parametrize("wrong", [{"kind": "external"}, {"external": EXTERNAL}])
def test_half_a_choice_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="needed by kind: external"):
        ObjectStoreSettings.model_validate(wrong)
