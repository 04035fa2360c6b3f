"""cert-manager: what is taken of its chart, and in which order the platform's authority comes about."""

import functools
import itertools

import pytest

from infra import issued, releases
from infra.components.certificates import patches
from infra.components.certificates.component import Certificates, CertificatesInputs
from infra.components.certificates.settings import CertificatesSettings
from infra.errors import ReleaseError
from infra.upstream import Manifest
from tests.unit.fake_cloud import FakeCloud, provision
from tests.unit.infra_stacks import built, lacks_upstream

DEPLOYMENTS = ("cert-manager", "cert-manager-webhook", "cert-manager-cainjector")


@functools.cache
def made() -> FakeCloud:
    """The whole component, as a stack with pinned images has it."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    release = releases.load()["cert-manager"]
    inputs = CertificatesInputs(
        namespace="here",
        release=release,
        images=tuple(f"{image}@sha256:0" for _, image in release.image_names()),
        issuer="sealer",
    )
    return provision(lambda: Certificates("certificates", CertificatesSettings(), inputs))


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_each_part_passes_the_restricted_level_and_has_its_size_from_the_settings(name: str) -> None:
    pod = made().pods()[f"Deployment/{name}"]
    [container] = pod["containers"]
    assert pod["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert set(container["resources"]["limits"]) == {"memory"}
    assert container["image"].endswith("@sha256:0")
    assert "--leader-election-namespace=here" in container["args"] or name.endswith("webhook")
    for probe in ("readinessProbe", "livenessProbe"):
        assert container.get(probe, {"timeoutSeconds": 5})["timeoutSeconds"] >= 5


def test_nothing_of_it_is_in_a_namespace_that_is_not_ours() -> None:
    inside = {each["metadata"].get("namespace") for each in made().objects.values()}
    assert inside == {None, "here"}
    assert "Deployment/cert-manager-startupapicheck" not in made().objects


def test_the_webhook_is_asked_once_its_authority_is_known_and_it_is_reachable() -> None:
    for kind in ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"):
        annotations = made().objects[f"{kind}/cert-manager-webhook"]["metadata"]["annotations"]
        assert annotations["pulumi.com/waitFor"] == "jsonpath={.webhooks[0].clientConfig.caBundle}"
        assert annotations["cert-manager.io/inject-ca-from-secret"] == "here/cert-manager-webhook-ca"
    assert made().objects["Deployment/cert-manager-webhook"]["spec"]["minReadySeconds"] > 0


def test_the_authority_comes_about_step_by_step() -> None:
    """Each waits for the one before; the engine knows that from dependencies alone."""
    urns = {(each.inputs["kind"], each.name): each for each in built("local").objects}
    steps = [
        ("Deployment", "platform-serving/cert-manager-cainjector"),
        ("ValidatingWebhookConfiguration", "cert-manager-webhook"),
        ("Issuer", "platform-serving/platform-root"),
        ("Certificate", "platform-serving/platform-authority"),
        ("Issuer", "platform-serving/platform"),
        ("Certificate", "platform-serving/gateway-tls"),
        ("GatewayClass", "seatrial"),
        ("Gateway", "platform-serving/platform"),
    ]
    # A step may wait by way of others.
    for before, after in itertools.pairwise(steps):
        assert urns[before].urn in _all_before(urns[after].urn), after


def _all_before(urn: str) -> set[str]:
    needed = {each.urn: each.depends_on for each in built("local").resources}
    seen: set[str] = set()
    todo = [urn]
    while todo:
        for each in needed.get(todo.pop(), ()):
            if each not in seen:
                seen.add(each)
                todo.append(each)
    return seen


def test_the_authority_keeps_its_key_and_a_certificate_does_not() -> None:
    authority = made().objects["Certificate/sealer-authority"]["spec"]
    assert authority["isCA"] is True
    assert authority["commonName"]
    assert authority["privateKey"]["rotationPolicy"] == "Never"
    assert made().objects["Issuer/sealer"]["spec"] == {"ca": {"secretName": "sealer-authority"}}
    made_for = issued.certificate({"name": "x", "namespace": "here"}, "sealer", ["x.here.svc"])
    assert made_for["spec"]["privateKey"]["rotationPolicy"] == "Always"
    assert made_for["spec"]["secretName"] == "x"
    assert made_for["metadata"]["annotations"] == {"pulumi.com/waitFor": "condition=Ready"}


def test_prometheus_finds_all_three_by_one_port() -> None:
    spec = made().objects["ServiceMonitor/cert-manager"]["spec"]
    wanted = spec["selector"]["matchLabels"].items()
    for name in DEPLOYMENTS:
        assert wanted <= made().objects[f"Service/{name}"]["metadata"]["labels"].items()
        ports = made().pods()[f"Deployment/{name}"]["containers"][0]["ports"]
        assert spec["endpoints"][0]["targetPort"] in {port["name"] for port in ports}


@pytest.mark.parametrize("patch", [patches.await_authority, patches.count_as_available_when_reachable])
def test_a_patch_that_finds_nothing_to_change_says_so(patch: object) -> None:
    nothing: list[Manifest] = [{"kind": "ConfigMap", "metadata": {"name": "x"}}]
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch(nothing)  # type: ignore[operator]
