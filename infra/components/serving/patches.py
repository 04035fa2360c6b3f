"""What differs from KServe's charts, and why. The same in every stack."""

from collections.abc import Mapping, Sequence
from typing import Any

import pulumi

from infra import kube
from infra.patching import Patch, container, deployment, expect
from infra.upstream import Manifest

_PROXY = "kube-rbac-proxy"
_METRICS_SERVICE = "kserve-controller-manager-metrics-service"
_INJECTED = "jsonpath={.webhooks[0].clientConfig.caBundle}"
_WAIT = "pulumi.com/waitFor"
METRICS = 8080


def leave_out_the_proxy(objects: list[Manifest]) -> list[Manifest]:
    """Beside the controller the chart runs a proxy that asks who reads the metrics.

    Its image can be had nowhere here, and what it guards are counters of reconciliations. With it go the
    rights that it needs, and the second Service for the same port.
    """
    spec = deployment(objects)["spec"]["template"]["spec"]
    kept = [each for each in spec["containers"] if each["name"] != _PROXY]
    expect(len(spec["containers"]) - len(kept) == 1, f"the container {_PROXY}")
    spec["containers"] = kept
    away = {"kserve-proxy-role", "kserve-proxy-rolebinding", "kserve-controller-manager-service"}
    left = [each for each in objects if each["metadata"]["name"] not in away]
    expect(len(objects) - len(left) == len(away), f"the objects {', '.join(sorted(away))}")
    [service] = [each for each in left if each["metadata"]["name"] == _METRICS_SERVICE]
    service["metadata"].pop("annotations", None)
    service["spec"]["ports"] = [{"name": "metrics", "port": METRICS, "targetPort": "metrics"}]
    return left


def lead_alone(objects: list[Manifest]) -> list[Manifest]:
    """There is one pod of it. A leader that cannot renew its lease within 10 seconds ends itself, and the
    webhooks with it, which happens on a busy machine; two that overlap in an update are told apart by the
    versions of what they write.
    """
    arguments = container(objects)["args"]
    expect("--leader-elect" in arguments, "the argument --leader-elect")
    arguments.remove("--leader-elect")
    return objects


def signed_by(issuer: pulumi.Input[str]) -> Patch:
    """The chart's certificate signs itself; here the platform's authority signs. Who depends on the
    configurations of the webhooks waits until cert-manager has written the authority into them.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        kept = [each for each in objects if each["kind"] != "Issuer"]
        expect(len(objects) - len(kept) == 1, "one Issuer")
        [certificate] = [each for each in kept if each["kind"] == "Certificate"]
        certificate["spec"]["issuerRef"] = {"kind": "Issuer", "name": issuer}
        _wait(certificate, "condition=Ready")
        for each in kept:
            if each["kind"].endswith("WebhookConfiguration"):
                _wait(each, _INJECTED)
        return kept

    return patch


def _wait(manifest: Manifest, what: str) -> None:
    manifest["metadata"].setdefault("annotations", {})[_WAIT] = what


def download_with(image: str, uid: int, env: Sequence[Mapping[str, Any]]) -> Patch:
    """Models are downloaded from the platform's store with the account that workloads have: `env` says how.

    The chart would have a Secret of KServe's own form named in each InferenceService, or in its account.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        found = [each for each in objects if each["kind"] == "ClusterStorageContainer"]
        expect(len(found) == 1, "one ClusterStorageContainer")
        found[0]["spec"]["container"] |= {
            "image": image,
            "env": [*env],
            "securityContext": {**kube.RESTRICTED_CONTAINER, **kube.RESTRICTED_POD, "runAsUser": uid},
        }
        return objects

    return patch


def run_images(images: Mapping[str, str], uid: int) -> Patch:
    """Upstream's runtimes name images that its packaging replaces; and Pod Security level `restricted` wants
    more said than they say. `images`: what they name → the image.
    """

    def patch(objects: list[Manifest]) -> list[Manifest]:
        for each in objects:
            for found in each["spec"]["containers"]:
                name = found["image"].partition(":")[0]
                expect(name in images, f"an image that is one of: {', '.join(images)}")
                found["image"] = images[name]
                found["securityContext"] = {
                    **kube.RESTRICTED_CONTAINER,
                    **kube.RESTRICTED_POD,
                    "runAsUser": uid,
                }
            each["metadata"].setdefault("labels", {}).update(kube.PART_OF)
        return objects

    return patch
