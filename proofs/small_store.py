"""A second object store that is small enough to be filled: the platform's own server, on a volume in memory.

It gets a copy of the tables, so that a training can be sent to it instead of to the platform's store.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import client
from client import ClientError, Platform, outputs
from proofs.run import Check
from workloads import checkpoints, pods
from workloads.common import LOAD_RECORD

NAME = "probe-store"
PORT = 7070
ROOM = 12 << 20
"""Bytes beside the tables: what some checkpoints take, and what the server notes of each object."""
FILLER = "filler/"
PIECES = (4 << 20, 256 << 10, 16 << 10)
"""Sizes of what it is filled with, the largest first: a checkpoint is larger than the last."""
NO_ROOM = ("InsufficientStorage", "InternalError")
"""What the server says; the latter where the room ends between an object and what is noted of it."""


class SmallStore:
    """Reached by `s3` from here and by `url` from a pod."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.url = f"http://{NAME}.{outputs.NAMESPACE_WORKLOADS}.svc.cluster.local:{PORT}"
        forward = platform.forward(outputs.NAMESPACE_WORKLOADS, NAME, PORT)
        self.s3 = platform.s3(endpoint=f"http://127.0.0.1:{forward.local_port}")
        self.bucket = platform.access["S3_BUCKET"]
        self.fillers = 0

    def fill(self) -> None:
        """Put objects until none finds room."""
        for size in PIECES:
            while self._put(size):
                pass

    def _put(self, size: int) -> bool:
        self.fillers += 1
        try:
            self.s3.put_object(Bucket=self.bucket, Key=f"{FILLER}{self.fillers}", Body=bytes(size))
        except Exception as error:
            if checkpoints.code_of(error) in NO_ROOM:
                return False
            raise
        return True

    def make_room(self, size: int | None = None) -> None:
        """Delete what it was filled with, until there are `size` bytes; all of it if that is not given."""
        room = 0
        for entry in listed(self.s3, self.bucket, FILLER):
            if size is not None and room >= size:
                return
            self.s3.delete_object(Bucket=self.bucket, Key=entry["Key"])
            room += entry["Size"]


@contextmanager
def small_store(platform: Platform, check: Check) -> Iterator[SmallStore]:
    """The store, with the tables in it; it goes with all that it holds."""
    image = serving_image(platform, check)
    tables = list(listed(platform.s3(), platform.access["S3_WAREHOUSE_BUCKET"], ""))
    size = sum(entry["Size"] for entry in tables) + ROOM
    try:
        client.deploy(platform, NAME, objects(platform, image, size), wait=False)
        ready(platform)
        store = SmallStore(platform)
        for entry in tables:
            copy(platform, store, platform.access["S3_WAREHOUSE_BUCKET"], entry["Key"])
        copy(platform, store, store.bucket, LOAD_RECORD)
        yield store
    finally:
        client.delete_workloads(platform, NAME)


def serving_image(platform: Platform, check: Check) -> str:
    """What serves the platform's object store."""
    host = client.platform.host_of(platform.access["AWS_ENDPOINT_URL"])
    try:
        service, namespace = client.platform.service_of(host)
    except ClientError:
        check.skip(f"the object store {host} is run by others, and is not to be filled")
    wanted = platform.core.read_namespaced_service(service, namespace).spec.selector
    selector = ",".join(f"{key}={value}" for key, value in wanted.items())
    return str(
        platform.core.list_namespaced_pod(namespace, label_selector=selector)
        .items[0]
        .spec.containers[0]
        .image
    )


def objects(platform: Platform, image: str, size: int) -> list[dict[str, Any]]:
    """A pod with versitygw on `size` bytes of memory, and the Service by which it is found."""
    main = pods.container(image, "-", [], cpu="50m", memory="64Mi", memory_limit=str(size + (256 << 20)))
    account = {"ROOT_ACCESS_KEY": "AWS_ACCESS_KEY_ID", "ROOT_SECRET_KEY": "AWS_SECRET_ACCESS_KEY"}
    main.pop("command")
    main.pop("envFrom")
    main["args"] = [
        "--port", f":{PORT}", "--region", platform.access.get("AWS_REGION", "us-east-1"),
        "--health", "/health", "--quiet", "posix", "/store/objects",
    ]  # fmt: skip
    main["env"] = [
        {"name": name, "valueFrom": {"secretKeyRef": {"name": pods.ACCESS_SECRET, "key": key}}}
        for name, key in account.items()
    ]
    main["volumeMounts"].append({"name": "store", "mountPath": "/store"})
    main["readinessProbe"] = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1}
    buckets = [platform.access["S3_BUCKET"], platform.access["S3_WAREHOUSE_BUCKET"]]
    folders = [f"/store/objects/{bucket}" for bucket in buckets]
    first = {
        **{key: main[key] for key in ("image", "resources", "securityContext", "volumeMounts")},
        "name": "buckets", "command": ["mkdir", "-p", *folders],
    }  # fmt: skip
    template = pods.pod(NAME, main, initContainers=[first])
    template["spec"]["volumes"].append(
        {"name": "store", "emptyDir": {"medium": "Memory", "sizeLimit": str(size)}}
    )
    metadata = {"name": NAME, "namespace": outputs.NAMESPACE_WORKLOADS, "labels": pods.labels(NAME)}
    service = {"selector": pods.labels(NAME), "ports": [{"name": "s3", "port": PORT}]}
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]},
    ]


def ready(platform: Platform, patience: float = 90) -> None:
    deadline = time.monotonic() + patience
    while True:
        pod = platform.core.read_namespaced_pod(NAME, outputs.NAMESPACE_WORKLOADS)
        if client.pods.ready(pod):
            return
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"pod {NAME} was not ready after {patience:.0f} s: {client.pods.describe(pod)}"
            )
        time.sleep(0.3)


def copy(platform: Platform, store: SmallStore, bucket: str, key: str) -> None:
    body = platform.s3().get_object(Bucket=bucket, Key=key)["Body"].read()
    store.s3.put_object(Bucket=bucket, Key=key, Body=body)


def listed(s3: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """All objects of a bucket under a prefix."""
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", [])
