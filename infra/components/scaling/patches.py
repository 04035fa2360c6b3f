"""What differs from the manifests of the Prometheus adapter, and why. The same in every stack."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra.patching import Patch, container, deployment, expect
from infra.upstream import Manifest

_VERSION = "v1beta1"
_TLS, _CONFIGURATION = "volume-serving-cert", "config"
"""Volumes of the Deployment."""


def answer_for(group: str, namespace: str, annotations: Mapping[str, str]) -> Patch:
    """The manifest would have the adapter answer for the usage of nodes and pods, unverified; metrics-server
    does that. What it answers for is another group, and the API server is told whom to believe.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        found = [each for each in objects if each["kind"] == "APIService"]
        expect(len(found) == 1, "one APIService")
        spec = found[0]["spec"]
        expect(spec.pop("insecureSkipTLSVerify", False), "an APIService that is not verified")
        spec["group"], spec["service"]["namespace"] = group, namespace
        found[0]["metadata"] |= {"name": f"{_VERSION}.{group}", "annotations": dict(annotations)}
        return objects

    return patch


def leave_out_namespaces(objects: list[Manifest]) -> list[Manifest]:
    """What belongs to the whole cluster names one too, which the API server drops."""
    found = [each["metadata"] for each in objects if each["kind"].startswith("Cluster")]
    expect(bool(found) and all("namespace" in each for each in found), "namespaces of what has none")
    for each in found:
        del each["namespace"]
    return objects


def run_with(arguments: Sequence[pulumi.Input[str]], secret: str, configuration: str, replicas: int) -> Patch:
    """Its certificate is made by the platform's authority, not by itself, and its rules are ours. The one pod
    goes when the next is there: the manifest, written for two, lets one be away.

    Its list of ciphers is left out: some of them nobody should use any more, and Go's own choice has none.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        spec = deployment(objects)["spec"]
        spec["replicas"] = replicas
        spec["strategy"]["rollingUpdate"] = {"maxSurge": 1, "maxUnavailable": 0}
        main = container(objects)
        paths = {each["name"]: each["mountPath"] for each in main["volumeMounts"]}
        expect({_TLS, _CONFIGURATION} <= paths.keys(), f"volumes {_TLS} and {_CONFIGURATION}")
        known = {each.partition("=")[0] for each in main["args"]}
        expect({"--cert-dir", "--config", "--prometheus-url"} <= known, "arguments that are replaced")
        main["args"] = [
            f"--tls-cert-file={paths[_TLS]}/tls.crt",
            f"--tls-private-key-file={paths[_TLS]}/tls.key",
            f"--config={paths[_CONFIGURATION]}/config.yaml",
            *(each for each in main["args"] if each.startswith("--secure-port=")),
            *arguments,
        ]
        volumes = spec["template"]["spec"]["volumes"]
        _fill(volumes, _TLS, {"secret": {"secretName": secret}})
        _fill(volumes, _CONFIGURATION, {"configMap": {"name": configuration}})
        return objects

    return patch


def _fill(volumes: list[dict[str, Any]], name: str, source: dict[str, Any]) -> None:
    where = [i for i, each in enumerate(volumes) if each["name"] == name]
    expect(len(where) == 1, f"the volume {name}")
    volumes[where[0]] = {"name": name, **source}


def restart_for(annotations: Mapping[str, Any]) -> Patch:
    """The adapter reads its rules when it starts."""

    def patch(objects: list[Manifest]) -> list[Manifest]:
        deployment(objects)["spec"]["template"]["metadata"].setdefault("annotations", {}).update(annotations)
        return objects

    return patch
