"""The Prometheus adapter: which API it answers for, who believes it, what it may read, what it tells."""

import functools
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import outputs, releases
from infra.components.scaling import patches
from infra.components.scaling.component import GROUP, NAME, Scaling, ScalingInputs
from infra.components.scaling.settings import ScalingSettings
from infra.controllers import Upstream
from infra.errors import ReleaseError
from infra.upstream import Manifest
from tests.unit.fake_cloud import FakeCloud, provision
from tests.unit.infra_stacks import STACKS, built, lacks_upstream

ROOT = Path(__file__).parents[2]


@functools.cache
def made() -> FakeCloud:
    """The whole component, as a stack with pinned images has it."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    release = releases.load()["prometheus-adapter"]
    [(_, image)] = release.image_names()
    inputs = ScalingInputs(
        namespace="here",
        adapter=Upstream(release=release, image=f"{image}@sha256:0"),
        issuer="authority",
        prometheus_url="http://prometheus.there:9090",
        workloads="workloads-here",
        model_metric=outputs.METRIC_MODEL,
        booking_metric=outputs.METRIC_BOOKING,
    )
    return provision(lambda: Scaling("scaling", ScalingSettings(window="40s"), inputs))


def adapter() -> dict[str, Any]:
    [container] = made().pods()[f"Deployment/{NAME}"]["containers"]
    return dict(container)


def test_it_passes_the_restricted_level_and_has_its_size_from_the_settings() -> None:
    pod = made().pods()[f"Deployment/{NAME}"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert adapter()["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert adapter()["securityContext"]["readOnlyRootFilesystem"] is True
    assert adapter()["resources"] == ScalingSettings().resources.manifest()
    assert adapter()["image"].endswith("@sha256:0")
    spec = made().objects[f"Deployment/{NAME}"]["spec"]
    assert (spec["replicas"], spec["strategy"]["rollingUpdate"]["maxUnavailable"]) == (1, 0)


@pytest.mark.parametrize("stack", STACKS)
def test_it_answers_for_its_own_group_and_leaves_usage_to_metrics_server(stack: str) -> None:
    """Two that answer for one group would take turns."""
    found = [each.inputs["spec"] for each in built(stack).of_kind("APIService")]
    assert [(each["group"], each["version"]) for each in found] == [(GROUP, "v1beta1")]
    addons = (ROOT / "local/cluster/addons/metrics.yaml").read_text()
    assert GROUP not in addons
    assert "name: v1beta1.metrics.k8s.io" in addons


def test_the_api_server_believes_the_platforms_authority_and_nobody_else() -> None:
    api = made().objects[f"APIService/v1beta1.{GROUP}"]
    assert "insecureSkipTLSVerify" not in api["spec"]
    assert api["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == f"here/{NAME}"
    assert api["spec"]["service"] == {"name": NAME, "namespace": "here"}
    certificate = made().objects[f"Certificate/{NAME}"]
    assert certificate["spec"]["dnsNames"] == [f"{NAME}.here.svc"]
    assert certificate["spec"]["issuerRef"]["name"] == "authority"
    volumes = {each["name"]: each for each in made().pods()[f"Deployment/{NAME}"]["volumes"]}
    mounted = {each["mountPath"]: volumes[each["name"]] for each in adapter()["volumeMounts"]}
    for argument, key in (("--tls-cert-file", "tls.crt"), ("--tls-private-key-file", "tls.key")):
        [path] = [each.partition("=")[2] for each in adapter()["args"] if each.startswith(f"{argument}=")]
        folder, _, file = path.rpartition("/")
        assert (mounted[folder]["secret"]["secretName"], file) == (certificate["spec"]["secretName"], key)
    assert not [each for each in adapter()["args"] if each.startswith("--cert-dir")]


def test_the_api_is_registered_when_it_can_answer_and_waited_for() -> None:
    """Everybody who asks which kinds there are would miss it."""
    [api] = built("local").of_kind("APIService")
    urns = {(each.inputs["kind"], each.name): each.urn for each in built("local").objects}
    for kind in ("Deployment", "Service"):
        assert urns[kind, f"{outputs.NAMESPACE_SERVING}/{NAME}"] in api.depends_on
    assert api.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Available"


def test_it_may_list_pods_where_they_are_scaled_and_read_nothing_else() -> None:
    roles = {
        key: each["rules"]
        for key, each in made().objects.items()
        if key.startswith(("Role/", "ClusterRole/"))
    }
    assert roles == {f"Role/{NAME}": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]}
    assert made().objects[f"Role/{NAME}"]["metadata"]["namespace"] == "workloads-here"
    bound = {
        (each["roleRef"]["kind"], each["roleRef"]["name"])
        for key, each in made().objects.items()
        if key.startswith(("RoleBinding/", "ClusterRoleBinding/"))
    }
    delegation = {
        ("ClusterRole", "system:auth-delegator"),
        ("Role", "extension-apiserver-authentication-reader"),
    }
    assert bound == {("Role", NAME), *delegation}
    subjects = [
        subject
        for key, each in made().objects.items()
        if key.startswith(("RoleBinding/", "ClusterRoleBinding/"))
        for subject in each["subjects"]
    ]
    account = {"kind": "ServiceAccount", "name": NAME, "namespace": "here"}
    assert subjects == [account] * 3
    assert made().objects[f"ServiceAccount/{NAME}"]["metadata"]["namespace"] == "here"


def rules() -> list[dict[str, Any]]:
    text = made().objects[f"ConfigMap/{NAME}"]["data"]["config.yaml"]
    found: list[dict[str, Any]] = yaml.safe_load(text)["rules"]
    return found


def test_it_asks_our_prometheus_by_rules_that_a_changed_rule_restarts_it_for() -> None:
    assert "--prometheus-url=http://prometheus.there:9090" in adapter()["args"]
    [path] = [each.partition("=")[2] for each in adapter()["args"] if each.startswith("--config=")]
    [mount] = [each for each in adapter()["volumeMounts"] if path == f"{each['mountPath']}/config.yaml"]
    [volume] = [
        each for each in made().pods()[f"Deployment/{NAME}"]["volumes"] if each["name"] == mount["name"]
    ]
    assert volume["configMap"]["name"] == NAME
    annotations = made().objects[f"Deployment/{NAME}"]["spec"]["template"]["metadata"]["annotations"]
    assert annotations["seatrial.dev/configuration"]


def test_its_metrics_are_made_of_series_that_pods_have() -> None:
    """Each is told of by what a pod has from its start, or a pod that gets nothing would not be scaled in."""
    sources = {
        outputs.METRIC_MODEL: (ROOT / "workloads/serve_model/metrics.py").read_text(),
        outputs.METRIC_BOOKING: (ROOT / "workloads/booking_api/metrics.py").read_text(),
    }
    assert {each["name"]["as"] for each in rules()} == set(sources)
    for rule in rules():
        text = sources[rule["name"]["as"]]
        gauge = rule["seriesQuery"].partition("{")[0]
        assert f'Gauge(\n    "{gauge}"' in text or f'Gauge("{gauge}"' in text
        [(counter, window)] = re.findall(
            r"rate\(([a-z_]+)\{<<\.LabelMatchers>>\}\[(\w+)\]\)", rule["metricsQuery"]
        )
        assert window == "40s"
        # Prometheus's client adds the end of a counter's name where it is missing.
        assert f'"{counter}"' in text or f'"{counter.removesuffix("_total")}"' in text
        assert f" or sum by (<<.GroupBy>>) (0 * {gauge}{{<<.LabelMatchers>>}})" in rule["metricsQuery"]
        assert rule["name"]["matches"] == f"^{gauge}$"
        assert rule["resources"]["overrides"]["pod"] == {"resource": "pod"}


def test_prometheus_watches_it() -> None:
    spec = made().objects[f"ServiceMonitor/{NAME}"]["spec"]
    service = made().objects[f"Service/{NAME}"]
    assert spec["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    assert spec["endpoints"][0]["port"] in {each["name"] for each in service["spec"]["ports"]}
    assert spec["endpoints"][0]["scheme"] == "https"


@pytest.mark.parametrize(
    "patch",
    [
        patches.answer_for("group", "here", {}),
        patches.leave_out_namespaces,
        patches.run_with([], "secret", "configuration", 1),
        patches.restart_for({}),
    ],
)
def test_a_patch_that_finds_nothing_to_change_says_so(patch: Any) -> None:
    nothing: list[Manifest] = [{"kind": "ConfigMap", "metadata": {"name": "x"}}]
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch(nothing)
