"""What faults do to the Gateway and its certificate: each breaks on entering, mends on leaving."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kubernetes import client as k8s

from client import Platform, gateway, outputs
from client.waiting import until
from proofs.damage import NAME, meanwhile, scale
from proofs.subjects.serving_gateway import CERTIFICATES, GATEWAY_POLICIES, SHORT, policy, served

GATEWAYS = ("gateway.networking.k8s.io", "v1", outputs.NAMESPACE_SERVING, "gateways")
CERT_MANAGER = ("cert-manager", outputs.NAMESPACE_SERVING)
"""Deployment and namespace of what renews certificates."""


@contextmanager
def policy_aside(platform: Platform, plural: str) -> Iterator[None]:
    """The Gateway's policy of a kind is for a Gateway that there is not."""
    custom = k8s.CustomObjectsApi(platform.api)
    before = policy(platform, plural)["spec"]["targetRefs"]

    def aim(targets: list[dict[str, Any]], reached: int) -> None:
        body = {"spec": {"targetRefs": targets}}
        custom.patch_namespaced_custom_object(*GATEWAY_POLICIES, plural, outputs.GATEWAY, body)
        until(lambda: _reached(platform, plural) == reached, f"the policy to have {reached} targets")

    try:
        aim([{**before[0], "name": NAME}], 0)
        yield
    finally:
        aim(before, 1)


def _reached(platform: Platform, plural: str) -> int:
    """How many targets a policy is in force on as it is now; where it has none an old status is left."""
    found = policy(platform, plural)
    ancestors = found.get("status", {}).get("ancestors") or []
    conditions = [entry for each in ancestors for entry in each["conditions"] if entry["type"] == "Accepted"]
    newest = found["metadata"]["generation"]
    return sum(entry["status"] == "True" and entry["observedGeneration"] == newest for entry in conditions)


@contextmanager
def certificate_of_another(platform: Platform) -> Iterator[None]:
    """The Gateway shows the certificate by which its proxies are known to their controller."""
    custom = k8s.CustomObjectsApi(platform.api)
    place = (*GATEWAYS, outputs.GATEWAY)
    before = custom.get_namespaced_custom_object(*place)["spec"]["listeners"]

    def show(secret: str, fits: bool) -> None:
        tls = {"mode": "Terminate", "certificateRefs": [{"group": "", "kind": "Secret", "name": secret}]}
        body = {"spec": {"listeners": [{**each, "tls": tls} for each in before]}}
        custom.patch_namespaced_custom_object(*place, body)
        until(lambda: _fits(platform) is fits, f"the Gateway to show the certificate {secret}")

    try:
        show("envoy", False)
        yield
    finally:
        show(outputs.SECRET_GATEWAY_TLS, True)


def _fits(platform: Platform) -> bool:
    """Whether the Gateway's certificate is for the hosts of routes."""
    try:
        served(platform, gateway.host("anything"))
    except ssl.SSLCertVerificationError:
        return False
    return True


@contextmanager
def nobody_renews(platform: Platform) -> Iterator[None]:
    """cert-manager goes away as soon as it has made the short-lived certificate of the proof."""
    gone: list[bool] = []

    def watch() -> None:
        if not gone and _made(platform):
            scale(platform, *CERT_MANAGER, 0)
            gone.append(True)

    try:
        with meanwhile(watch, 0.5):
            yield
    finally:
        scale(platform, *CERT_MANAGER, 1)


def _made(platform: Platform) -> bool:
    """Whether the Gateway's Certificate is to be short-lived, and is."""
    custom = k8s.CustomObjectsApi(platform.api)
    found = custom.get_namespaced_custom_object(*CERTIFICATES, outputs.SECRET_GATEWAY_TLS)
    ready = [entry for entry in found["status"]["conditions"] if entry["type"] == "Ready"]
    newest = all(entry.get("observedGeneration") == found["metadata"]["generation"] for entry in ready)
    wanted = found["spec"].get("duration") == SHORT["duration"]
    return wanted and newest and bool(ready) and all(entry["status"] == "True" for entry in ready)
