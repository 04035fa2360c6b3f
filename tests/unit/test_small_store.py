"""The object store that a proof fills: what is deployed, and that not even a small object finds room then."""

from types import SimpleNamespace as Some
from typing import Any

import pytest

from client import ClientError, Platform
from proofs import small_store
from proofs.run import Check, Skip
from proofs.small_store import SmallStore
from proofs.subjects import training_hindered
from workloads import gang

ACCESS = {
    "AWS_ENDPOINT_URL": "http://object-store.platform-data.svc.cluster.local:7070",
    "S3_BUCKET": "datasets", "S3_WAREHOUSE_BUCKET": "warehouse",
}  # fmt: skip


class Refusal(Exception):
    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}}


class Full:
    """Stands for a store of so many bytes."""

    def __init__(self, room: int, code: str = "InsufficientStorage") -> None:
        self.room, self.code = room, code

    def put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        if len(Body) > self.room:
            raise Refusal(self.code)
        self.room -= len(Body)


def store(server: Any) -> SmallStore:
    ours = SmallStore.__new__(SmallStore)
    ours.s3, ours.bucket, ours.fillers, ours.url = server, "datasets", 0, "http://probe-store:7070"
    return ours


def test_when_it_is_full_no_checkpoint_finds_room() -> None:
    server = Full((9 << 20) + 700_001)
    store(server).fill()
    assert server.room < 16 << 10


def test_another_refusal_is_not_taken_for_a_full_store() -> None:
    with pytest.raises(Refusal, match="AccessDenied"):
        store(Full(0, "AccessDenied")).fill()


def test_its_pod_has_the_platforms_account_and_all_the_room_it_may_have() -> None:
    service, pod = small_store.objects(Some(access=ACCESS), "versitygw:1", 50 << 20)  # type: ignore[arg-type]
    (main,), (first,) = pod["spec"]["containers"], pod["spec"]["initContainers"]
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert {entry["valueFrom"]["secretKeyRef"]["key"] for entry in main["env"]} == {
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}  # fmt: skip
    assert {"name": "store", "emptyDir": {"medium": "Memory", "sizeLimit": str(50 << 20)}} in pod["spec"][
        "volumes"
    ]
    assert int(main["resources"]["limits"]["memory"]) > 50 << 20, "what is in memory counts"
    assert first["command"][-2:] == ["/store/objects/datasets", "/store/objects/warehouse"]
    for container in (main, first):
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_a_store_that_others_run_is_not_filled() -> None:
    access = {**ACCESS, "AWS_ENDPOINT_URL": "https://s3.eu-central-1.amazonaws.com"}
    with pytest.raises(Skip, match=r"the object store s3\.eu-central-1\.amazonaws\.com is run by others"):
        small_store.serving_image(Some(access=access), Check())  # type: ignore[arg-type]


def test_only_the_training_is_sent_there() -> None:
    main = gang.torchrun("w:1", "m", [], gpus=0, cpu="1", memory="1Gi", memory_limit="1Gi")
    manifest = gang.objects(main, form="TrainJob", name="t", pods=2, gpus=0, namespace="workloads")
    (job,) = training_hindered.sent_to(store(Full(0)), manifest)
    env = {entry["name"]: entry for entry in job["spec"]["trainer"]["env"]}
    assert env["AWS_ENDPOINT_URL"] == {"name": "AWS_ENDPOINT_URL", "value": "http://probe-store:7070"}
    assert "secretKeyRef" in env["AWS_SECRET_ACCESS_KEY"]["valueFrom"]


def test_a_pod_that_is_not_alone_with_its_rank_is_not_taken_for_the_one() -> None:
    from client import pods

    def platform(*names: str) -> Platform:
        items = [Some(metadata=Some(name=name)) for name in names]
        return Some(core=Some(list_namespaced_pod=lambda *_, **__: Some(items=items)))  # type: ignore[return-value]

    assert pods.of_rank(platform("a"), "workloads", "job=t", 0).metadata.name == "a"
    for names, told in (((), "none"), (("a", "b"), "a, b")):
        with pytest.raises(LookupError, match=f"not one pod of rank 0: {told}"):
            pods.of_rank(platform(*names), "workloads", "job=t", 0)


def test_that_a_part_is_missing_is_no_store_of_others() -> None:
    def missing(*_: Any) -> Any:
        raise ClientError("no such service", "provision it")

    platform = Some(access=ACCESS, core=Some(read_namespaced_service=missing))
    with pytest.raises(ClientError, match="no such service"):
        small_store.serving_image(platform, Check())  # type: ignore[arg-type]
