"""Builds a whole stack against a fake cloud that remembers manifests, options and what was secret."""

import functools
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import pulumi
import pytest
import yaml
from pulumi.runtime import mocks
from pulumi.runtime.proto import resource_pb2

from infra import program, releases, settings
from local import manifests, toolchain
from local.errors import LocalError
from local.progress import Silent
from tests.unit.fake_cloud import _SECRET, _plain

STACKS = ("local", "dev", "staging", "prod")
Manifest = dict[str, Any]


@dataclass(frozen=True)
class Registered:
    """One resource as the engine would have got it."""

    type: str
    name: str
    inputs: Manifest
    """With whole numbers, and without the marks of secrets."""
    marked: Manifest
    """With the marks of secrets."""
    protect: bool
    provider: str
    ignore_changes: tuple[str, ...]
    secret_outputs: tuple[str, ...]
    urn: str
    depends_on: tuple[str, ...]


@dataclass
class Recorder(mocks.Mocks):
    """Accepts everything; a Secret that the program reads is an S3 account or what cert-manager made."""

    resources: list[Registered] = field(default_factory=list)

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        if args.resource_id:
            found = {"data": {"access-key": "YQ==", "secret-key": "Yg==", "ca.crt": "Yw=="}}
            return args.resource_id, {**args.inputs, **found}
        return f"{args.name}_id", args.inputs

    def call(self, args: mocks.MockCallArgs) -> dict[str, Any]:
        raise AssertionError(f"the program looked up {args.token}, which this cloud was not told about")


class Monitor(mocks.MockMonitor):
    def RegisterResource(self, request: resource_pb2.RegisterResourceRequest) -> Any:
        answer = super().RegisterResource(request)
        if request.type != "pulumi:pulumi:Stack":
            inputs = pulumi.runtime.rpc.deserialize_properties(request.object)
            self.mocks.resources.append(
                Registered(
                    type=request.type,
                    name=request.name,
                    inputs=_plain(inputs),
                    marked=inputs,
                    protect=request.protect,
                    provider=request.provider,
                    ignore_changes=tuple(request.ignoreChanges),
                    secret_outputs=tuple(request.additionalSecretOutputs),
                    urn=answer.urn,
                    depends_on=tuple(request.dependencies),
                )
            )
        return answer


@dataclass(frozen=True)
class Stack:
    resources: tuple[Registered, ...]

    @property
    def objects(self) -> list[Registered]:
        """Kubernetes objects."""
        return [each for each in self.resources if each.type.startswith("kubernetes:")]

    def of_kind(self, kind: str) -> list[Registered]:
        return [each for each in self.objects if each.inputs["kind"] == kind]

    def images(self) -> set[str]:
        """Every image that a pod will run, also those that an operator will start."""
        found: set[str] = set()
        for each in self.objects:
            if each.inputs["kind"] != "CustomResourceDefinition":
                _collect_images(each.inputs, found)
        return found


def configuration(stack: str) -> dict[str, Any]:
    """The `config` section of a stack file."""
    text = (settings.STACKS / f"Pulumi.{stack}.yaml").read_text()
    found: dict[str, Any] = yaml.safe_load(text).get("config") or {}
    return found


@functools.cache
def lacks_upstream() -> str:
    """Why upstream manifests and charts cannot be had or rendered, or nothing.

    Fetched once, with Go, as `up` does it: the program would fetch them itself, from wherever it can. Helm is
    looked for where `up` takes it from, and put on PATH; tests do not build it.
    """
    try:
        helm = toolchain.ensure(["helm"], install=False)["helm"]
        os.environ["PATH"] = os.pathsep.join((os.environ["PATH"], str(helm.parent)))
        if "SEATRIAL_CHARTS" not in os.environ:
            manifests.ensure([manifests.Wanted(*each) for each in releases.upstream_manifests()], Silent())
    except LocalError as error:
        return str(error)
    return ""


def build(stack: str, config: Mapping[str, Any]) -> Stack:
    """Run the program as the engine would."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    recorder = Recorder()
    pulumi.runtime.set_all_config(dict(config))
    pulumi.runtime.set_mocks(recorder, project="seatrial", stack=stack, monitor=Monitor(recorder))
    pulumi.runtime.test(program.build)()
    return Stack(tuple(recorder.resources))


@functools.cache
def built(stack: str) -> Stack:
    """A committed stack, with invented digests where it needs them: none can be resolved here."""
    lacks_upstream()  # It changes PATH for good.
    pinned = _pinned(releases.load())
    with mock.patch.dict(os.environ), mock.patch.object(releases, "load", return_value=pinned):
        os.environ.pop(settings.PARTS_VARIABLE, None)  # A shell that `seatrial env` prepared has it.
        return build(stack, configuration(stack))


def _pinned(loaded: dict[str, releases.Release]) -> dict[str, releases.Release]:
    digest = f"sha256:{'0' * 64}"
    return {
        name: each.model_copy(update={"digests": {image: digest for _, image in each.image_names()}})
        for name, each in loaded.items()
    }


def _collect_images(node: Any, found: set[str]) -> None:
    if isinstance(node, Mapping):
        if isinstance(image := node.get("image"), str):
            found.add(image)
        for value in node.values():
            _collect_images(value, found)
    elif isinstance(node, list):
        for value in node:
            _collect_images(value, found)
    elif isinstance(node, str) and node.startswith('{"apiVersion": "config.kubeflow.org/'):
        _collect_images(json.loads(node), found)
    elif isinstance(node, str) and node.startswith("--prometheus-config-reloader="):
        found.add(node.partition("=")[2])


def secrets_in(node: Any) -> bool:
    """Whether anything below is marked as secret."""
    if isinstance(node, Mapping):
        return _SECRET in node or any(secrets_in(each) for each in node.values())
    return isinstance(node, list) and any(secrets_in(each) for each in node)
