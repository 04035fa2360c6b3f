"""A cloud that remembers what the program asked of it, for tests that look at the manifests."""

from collections.abc import Callable, Mapping
from typing import Any

import pulumi

from infra.connections import Database, Store

_SECRET = "4dabf18193072939515e22adb298388d"
Manifest = dict[str, Any]


class FakeCloud(pulumi.runtime.Mocks):
    """Accepts every object as it is; `existing` are the objects that a program may read: id → fields."""

    def __init__(self, existing: Mapping[str, Manifest] | None = None) -> None:
        self._existing = dict(existing or {})
        self.objects: dict[str, Manifest] = {}
        """`Kind/name` → manifest, secret values unwrapped."""

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.resource_id:
            return args.resource_id, {**args.inputs, **self._existing[args.resource_id]}
        if args.typ.startswith("kubernetes:"):
            manifest = _plain(args.inputs)
            key = f"{manifest['kind']}/{manifest['metadata']['name']}"
            assert key not in self.objects, f"{key} is registered twice"
            self.objects[key] = manifest
        return f"{args.name}_id", args.inputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"the program looked up {args.token}, which this cloud was not told about")

    def pods(self) -> dict[str, Manifest]:
        """The pod specification of each object that makes pods."""
        made = {}
        for key, each in self.objects.items():
            if template := each.get("spec", {}).get("template"):
                made[key] = template["spec"]
        return made


def provision(build: Callable[[], object], existing: Mapping[str, Manifest] | None = None) -> FakeCloud:
    """Run a piece of a program to its end against a cloud of its own."""
    cloud = FakeCloud(existing)
    pulumi.runtime.set_mocks(cloud, project="seatrial", stack="test")

    @pulumi.runtime.test
    def program() -> None:
        build()

    program()
    return cloud


def _plain(value: Any) -> Any:
    """Without the wrapping of secrets, and with whole numbers where the wire has floats."""
    if isinstance(value, Mapping):
        if _SECRET in value:
            return _plain(value["value"])
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def known(value: str) -> pulumi.Output[str]:
    return pulumi.Output.from_input(value)


def database(name: str) -> Database:
    return Database(host=known("pg"), port=5432, name=name, user=name, password=known(f"{name}-password"))


def store() -> Store:
    return Store(endpoint=known("http://s3:7070"), region="r", access_key=known("AK"), secret_key=known("SK"))
