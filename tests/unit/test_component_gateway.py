"""The Gateway: what is taken of Envoy Gateway's chart, who may send what, and how it is found."""

import functools

import pytest
import yaml
from pydantic import ValidationError

from infra import outputs, releases, settings
from infra.components.gateway import patches, policies, rights
from infra.components.gateway.component import Gateway, GatewayInputs
from infra.components.gateway.settings import GatewaySettings, TenantSettings
from infra.controllers import Upstream
from infra.errors import ReleaseError
from infra.upstream import Manifest
from tests.unit.fake_cloud import FakeCloud, provision
from tests.unit.infra_stacks import lacks_upstream


@functools.cache
def made(**chosen: object) -> FakeCloud:
    """The whole component, as a stack with pinned images has it."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    release = releases.load()["envoy-gateway"]
    [image] = [image for _, image in release.image_names()]
    inputs = GatewayInputs(
        namespace="here",
        controller=Upstream(release=release, image=f"{image}@sha256:0"),
        definitions=releases.load()["envoy-gateway-definitions"],
        proxy_image="envoy:1@sha256:1",
        issuer="sealer",
        gateway="door",
        listener="https",
        port=443,
        service="porch",
        secret="porch-tls",
        key_header="x-key",
        key_secret="key-of-{tenant}",
        credential="vouched",
        domain="example.test",
        routes_from="jobs-here",
        repeatable="example.test/again",
    )
    given = GatewaySettings.model_validate(chosen)
    return provision(
        lambda: Gateway("gateway", given, inputs), {"here/porch-tls": {"data": {"ca.crt": "Yw=="}}}
    )


def spec(kind: str, name: str = "door") -> Manifest:
    found: Manifest = made().objects[f"{kind}/{name}"]["spec"]
    return found


def test_envoy_gateway_has_its_image_and_size_and_certificates_from_us() -> None:
    pod = made().pods()["Deployment/envoy-gateway"]
    [container] = pod["containers"]
    assert container["image"].endswith("@sha256:0")
    assert container["resources"] == GatewaySettings().controller.manifest()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert not any("certgen" in key for key in made().objects)
    mounted = [each["secret"]["secretName"] for each in pod["volumes"] if "secret" in each]
    assert mounted == ["envoy-gateway"]
    assert "envoy-gateway" in spec("Certificate", "envoy-gateway")["dnsNames"]
    assert spec("Certificate", "envoy")["secretName"] == "envoy"


def test_proxies_are_stopped_by_the_image_that_their_controller_runs() -> None:
    told = yaml.safe_load(made().objects["ConfigMap/envoy-gateway-config"]["data"]["envoy-gateway.yaml"])
    kubernetes = told["provider"]["kubernetes"]
    [container] = made().pods()["Deployment/envoy-gateway"]["containers"]
    assert kubernetes["shutdownManager"]["image"] == container["image"]
    assert kubernetes["leaderElection"]["leaseDuration"] == "60s"


def test_every_kind_of_the_gateway_api_is_defined_without_its_prose() -> None:
    found = {key.partition("/")[2] for key in made().objects if key.startswith("CustomResourceDefinition/")}
    assert {f"{each}.gateway.networking.k8s.io" for each in ("gateways", "httproutes", "grpcroutes")} <= found
    assert "securitypolicies.gateway.envoyproxy.io" in found


def test_the_definitions_are_of_the_controllers_version() -> None:
    found = releases.load()
    assert found["envoy-gateway-definitions"].version == found["envoy-gateway"].version


def test_requests_come_to_a_service_that_its_certificate_names() -> None:
    service = spec("EnvoyProxy")["provider"]["kubernetes"]["envoyService"]
    assert service == {"name": "porch", "type": "ClusterIP"}
    names = spec("Certificate", "porch-tls")["dnsNames"]
    assert {"porch", "porch.here.svc", "porch.here.svc.cluster.local", "*.example.test"} <= set(names)
    more = made(hosts=("models.example.com",)).objects["Certificate/porch-tls"]["spec"]["dnsNames"]
    assert set(more) - set(names) == {"models.example.com"}


def test_the_listener_takes_routes_of_one_namespace_and_shows_that_certificate() -> None:
    [listener] = spec("Gateway")["listeners"]
    assert listener["tls"]["certificateRefs"] == [{"group": "", "kind": "Secret", "name": "porch-tls"}]
    taken = listener["allowedRoutes"]["namespaces"]
    assert taken["from"] == "Selector"
    assert taken["selector"]["matchLabels"] == {"kubernetes.io/metadata.name": "jobs-here"}


@pytest.mark.parametrize("kind", ["ClientTrafficPolicy", "SecurityPolicy", "BackendTrafficPolicy"])
def test_a_policy_holds_of_the_gateway_and_is_in_force_before_anyone_is_told_of_it(kind: str) -> None:
    [target] = spec(kind)["targetRefs"]
    assert (target["kind"], target["name"]) == ("Gateway", "door")
    awaited = made().objects[f"{kind}/door"]["metadata"]["annotations"]["pulumi.com/waitFor"]
    assert "Accepted" in awaited


def test_requests_are_sent_again_on_routes_that_say_so_within_the_gateways_limits() -> None:
    spec = policies.repeated(GatewaySettings(), {"name": "again"}, "example.test/again")["spec"]
    [selected] = spec["targetSelectors"]
    assert (selected["kind"], selected["matchLabels"]) == ("HTTPRoute", {"example.test/again": "true"})
    assert spec["mergeType"] == "StrategicMerge", "it would take the place of the limits"
    assert not {"rateLimit", "requestBuffer"} & set(spec)


def test_that_policy_is_where_routes_are_and_nobody_waits_for_one_to_have_the_label() -> None:
    policy = made().objects["BackendTrafficPolicy/repeatable"]
    assert policy["metadata"]["namespace"] == "jobs-here", "a policy selects routes of its own namespace"
    assert policy["spec"]["targetSelectors"][0]["matchLabels"] == {"example.test/again": "true"}
    assert "pulumi.com/waitFor" not in policy["metadata"].get("annotations", {})


def test_it_is_bounded_how_often_and_nothing_that_was_answered_is_sent_again() -> None:
    chosen = GatewaySettings(retries=1, retries_at_once=7)
    spec = policies.repeated(chosen, {"name": "again"}, "x")["spec"]
    assert (spec["retry"]["numRetries"], spec["circuitBreaker"]["maxParallelRetries"]) == (1, 7)
    assert set(spec["retry"]["retryOn"]) == {"triggers"}, "no status of an answer"
    assert set(spec["retry"]["retryOn"]["triggers"]) == {"connect-failure", "refused-stream", "reset"}
    assert "timeout" not in spec["retry"]["perRetry"]
    # Of two pods the next one is the other one.
    assert spec["loadBalancer"] == {"type": "RoundRobin"}


def test_every_tenant_has_a_key_and_a_share() -> None:
    keys = spec("SecurityPolicy")["apiKeyAuth"]
    assert [each["name"] for each in keys["credentialRefs"]] == ["key-of-workloads", "key-of-trial"]
    assert keys["extractFrom"] == [{"headers": ["x-key"]}]
    assert keys["sanitize"] is True
    for tenant in ("workloads", "trial"):
        assert list(made().objects[f"Secret/key-of-{tenant}"]["data"]) == [tenant]
    rules = spec("BackendTrafficPolicy")["rateLimit"]["local"]["rules"]
    shares = {
        rule["clientSelectors"][0]["headers"][0]["value"]: (rule["limit"]["requests"], rule["limit"]["unit"])
        for rule in rules
    }
    assert shares == {"workloads": (1000, "Second"), "trial": (20, "Minute")}


def test_what_the_gateway_may_show_to_backends_is_where_routes_are() -> None:
    secret = made().objects["Secret/vouched"]
    assert secret["metadata"]["namespace"] == "jobs-here"
    assert list(secret["data"]) == ["credential"], "Envoy Gateway reads no other entry"


def test_what_a_client_says_of_its_tenant_is_dropped() -> None:
    dropped = spec("ClientTrafficPolicy")["headers"]["earlyRequestHeaders"]["remove"]
    assert dropped == [spec("SecurityPolicy")["apiKeyAuth"]["forwardClientIDHeader"]]


def test_tenants_of_a_stack_come_besides_ours() -> None:
    chosen = GatewaySettings(
        tenants={"shop": TenantSettings(requests=5), "trial": TenantSettings(requests=1)}
    )
    assert list(chosen.tenants) == ["workloads", "trial", "shop"]
    assert chosen.tenants["trial"].requests == 1
    assert len(policies.objects(chosen, {"name": "x"}, "x", "h", [])) == 3


@pytest.mark.parametrize("name", ["Shop", "a.b", "-x", "x" * 50, ""])
def test_a_tenant_that_could_be_no_name_of_a_secret_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match="tenants"):
        GatewaySettings(tenants={name: TenantSettings()})


def test_more_tenants_than_envoy_gateway_has_rules_for_are_refused() -> None:
    with pytest.raises(ValidationError, match="14"):
        GatewaySettings(tenants={f"t{number}": TenantSettings() for number in range(15)})


def test_users_may_write_routes_and_no_policies() -> None:
    for role in rights.roles():
        assert [(rule["apiGroups"], rule["resources"]) for rule in role["rules"]] == [
            (["gateway.networking.k8s.io"], ["httproutes", "grpcroutes"]),
            (["gateway.envoyproxy.io"], ["httproutefilters"]),
        ]


def test_the_proxies_are_watched_by_a_port_that_they_have() -> None:
    monitor = spec("PodMonitor", "gateway")
    assert monitor["podMetricsEndpoints"] == [{"port": "metrics", "path": "/stats/prometheus"}]
    labels = monitor["selector"]["matchLabels"]
    assert labels == {"gateway.envoyproxy.io/owning-gateway-name": "door"}


def test_a_chart_without_the_job_is_looked_at_again() -> None:
    with pytest.raises(ReleaseError, match="a Job that makes certificates"):
        patches.leave_out_certgen([{"kind": "Service", "metadata": {"name": "x"}}])


def test_what_users_are_told_is_what_the_program_makes() -> None:
    local = settings.of_stack_file("local").gateway
    assert outputs.TENANT_TRIAL in local.tenants
    assert outputs.DOMAIN.endswith(".test")
