"""KServe: what is left of its charts, who signs for its webhooks, how models are downloaded and run."""

import copy
import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from infra import controllers, outputs, patching, releases
from infra.components.serving import patches, rights, runtimes
from infra.components.serving.component import RUNTIME_IMAGES, ModelServing, ModelServingInputs
from infra.components.serving.settings import ServingSettings
from infra.controllers import Upstream
from infra.errors import ReleaseError
from infra.upstream import Manifest
from tests.unit.fake_cloud import FakeCloud, provision
from tests.unit.infra_stacks import STACKS, built, lacks_upstream
from tests.unit.test_infra_definitions import whole

ROOT = Path(__file__).parents[2]
HOOKS = ("MutatingWebhookConfiguration/", "ValidatingWebhookConfiguration/")
WAIT = "pulumi.com/waitFor"


@functools.cache
def made(upstream_runtimes: bool = True) -> FakeCloud:
    """The whole component, as a stack with pinned images has it."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    found = releases.load()
    images = {recipe: f"{name}@sha256:0" for each in found.values() for recipe, name in each.image_names()}
    inputs = ModelServingInputs(
        namespace="here",
        definitions=found["kserve-crd"],
        kserve=Upstream(release=found["kserve"], image=images["kserve"]),
        storage_image=images["storage-initializer"],
        issuer="authority",
        workloads="models-here",
        access_secret="access",
        runtime="mlflow-here",
        upstream_runtimes=found["kserve-runtimes"],
        runtime_images={name: images[name] for name in RUNTIME_IMAGES},
    )
    settings = ServingSettings(upstream_runtimes=upstream_runtimes)
    return provision(lambda: ModelServing("serving", settings, inputs))


def of_kind(kind: str) -> dict[str, Manifest]:
    return {key.partition("/")[2]: each for key, each in made().objects.items() if key.startswith(f"{kind}/")}


def configuration(key: str) -> Any:
    return json.loads(made().objects["ConfigMap/inferenceservice-config"]["data"][key])


def test_kserve_passes_the_restricted_level_and_has_its_size_from_the_settings() -> None:
    deployment = made().objects["Deployment/kserve-controller-manager"]["spec"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"] == ServingSettings().resources.manifest()
    assert container["image"].endswith("@sha256:0")
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert "--leader-elect" not in container["args"]
    assert deployment["minReadySeconds"] > 0


def test_it_makes_no_routes_and_needs_no_knative() -> None:
    assert configuration("deploy") == {"defaultDeploymentMode": "Standard"}
    ingress = configuration("ingress")
    assert ingress["disableIngressCreation"] is True
    assert ingress["enableGatewayApi"] is False
    address = ingress["domainTemplate"].replace("{{ .Name }}", "delay-v3").replace("{{ .Namespace }}", "ns")
    assert address.replace("{{ .IngressDomain }}", ingress["ingressDomain"]) == (
        "delay-v3-predictor.ns.svc.cluster.local"
    )


def test_the_platforms_authority_signs_for_the_webhooks_and_they_are_waited_for() -> None:
    certificate = made().objects["Certificate/serving-cert"]
    assert certificate["spec"]["issuerRef"] == {"kind": "Issuer", "name": "authority"}
    assert certificate["metadata"]["annotations"][WAIT] == "condition=Ready"
    assert not of_kind("Issuer")
    [service] = {hook["clientConfig"]["service"]["name"] for hook in hooks()}
    assert certificate["spec"]["dnsNames"] == [f"{service}.here.svc"]
    [volume] = made().pods()["Deployment/kserve-controller-manager"]["volumes"]
    assert volume["secret"]["secretName"] == certificate["spec"]["secretName"]
    for key, each in made().objects.items():
        if key.startswith(HOOKS):
            assert each["metadata"]["annotations"]["cert-manager.io/inject-ca-from"] == "here/serving-cert"
            assert "caBundle" in each["metadata"]["annotations"][WAIT], key


def hooks() -> list[Manifest]:
    return [
        hook for key, each in made().objects.items() if key.startswith(HOOKS) for hook in each["webhooks"]
    ]


def test_only_pods_of_models_ask_kserve() -> None:
    """Its webhooks are fail-closed: any other pod would wait for it, and fail with it."""
    [pods] = [hook for hook in hooks() if "pods" in hook["rules"][0]["resources"]]
    [selected] = pods["objectSelector"]["matchExpressions"]
    assert selected == {"key": "serving.kserve.io/inferenceservice", "operator": "Exists"}
    assert pods["failurePolicy"] == "Fail"


def test_models_are_downloaded_with_the_account_of_workloads_by_nobody_in_particular() -> None:
    container = made().objects["ClusterStorageContainer/default"]["spec"]["container"]
    keys = {
        each["name"]: (each["valueFrom"]["secretKeyRef"]["name"], each["valueFrom"]["secretKeyRef"]["key"])
        for each in container["env"]
    }
    assert keys["AWS_SECRET_ACCESS_KEY"] == ("access", "AWS_SECRET_ACCESS_KEY")
    assert keys["AWS_DEFAULT_REGION"] == ("access", "AWS_REGION")
    assert keys["AWS_ENDPOINT_URL"][0] == "access"
    restricted(container)
    assert container["image"].endswith("@sha256:0")
    assert configuration("storageInitializer")["image"] == container["image"]


def restricted(container: Manifest) -> None:
    context = container["securityContext"]
    assert context["runAsNonRoot"] is True
    assert context["runAsUser"] > 0
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert context["seccompProfile"] == {"type": "RuntimeDefault"}


def test_every_runtime_passes_the_restricted_level_whatever_its_inferenceservice_says() -> None:
    found = of_kind("ClusterServingRuntime")
    upstream = {"kserve-tensorflow-serving", "kserve-tritonserver", "kserve-vllmserver"}
    assert found.keys() == {"mlflow-here"} | upstream
    for name, each in found.items():
        [container] = each["spec"]["containers"]
        restricted(container)
        assert name not in upstream or container["image"].endswith("@sha256:0")


def test_an_mlflow_model_is_served_in_three_protocols_on_two_ports() -> None:
    spec = runtimes.mlflow("mlflow")["spec"]
    assert spec["protocolVersions"] == ["v1", "v2", "grpc-v2"]
    [container] = spec["containers"]
    http, grpc = container["ports"]
    assert f"--http-port={http['containerPort']}" in container["args"]
    assert f"--grpc-port={grpc['containerPort']}" in container["args"]
    assert "grpc" in grpc["name"], "KServe tells by the name that the port speaks HTTP/2"
    assert "image" not in container, "an InferenceService names it, and keeps it"


def test_the_server_takes_the_arguments_that_the_runtime_gives() -> None:
    [container] = runtimes.mlflow("mlflow")["spec"]["containers"]
    taken = (ROOT / "workloads/serve_model/main.py").read_text()
    for argument in container["args"]:
        assert f'"{argument.partition("=")[0]}"' in taken, argument


@pytest.mark.parametrize("stack", STACKS)
def test_what_we_cannot_run_is_in_cloud_stacks_alone(stack: str) -> None:
    names = {each.name for each in built(stack).of_kind("ClusterServingRuntime")}
    assert outputs.RUNTIME_MLFLOW in names
    assert ("kserve-tritonserver" in names) == (stack != "local")


def test_nothing_of_them_is_built_for_the_local_stack() -> None:
    local = {recipe for _, recipe, _ in releases.local_images()}
    assert {"kserve", "storage-initializer"} <= local
    assert not local & set(RUNTIME_IMAGES)


def test_kserve_and_every_model_are_watched() -> None:
    monitor = made().objects["ServiceMonitor/kserve"]["spec"]
    [endpoint] = monitor["endpoints"]
    watched = [
        name
        for name, each in of_kind("Service").items()
        if monitor["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items()
        and endpoint["port"] in {port.get("name") for port in each["spec"]["ports"]}
    ]
    assert watched == ["kserve-controller-manager-metrics-service"], "the alert looks for this job"
    models = made().objects["PodMonitor/models"]
    assert models["metadata"]["namespace"] == "models-here"
    [endpoint] = models["spec"]["podMetricsEndpoints"]
    [container] = runtimes.mlflow("mlflow")["spec"]["containers"]
    assert endpoint["port"] in {port["name"] for port in container["ports"]}


def test_nothing_of_the_proxy_is_left() -> None:
    assert "kube-rbac-proxy" not in json.dumps(made().objects)
    assert not [name for name in of_kind("ClusterRole") if "proxy" in name]
    [port] = made().objects["Service/kserve-controller-manager-metrics-service"]["spec"]["ports"]
    [container] = made().pods()["Deployment/kserve-controller-manager"]["containers"]
    assert port["targetPort"] in {each["name"] for each in container["ports"]}
    assert f"--metrics-addr=0.0.0.0:{patches.METRICS}" in container["args"]


def test_who_may_edit_a_namespace_may_serve_in_it_and_only_look_at_what_is_shared() -> None:
    edit, view = rights.roles()
    own, shared = edit["rules"]
    assert "create" in own["verbs"]
    assert "inferenceservices" in own["resources"]
    assert shared["verbs"] == ["get", "list", "watch"]
    assert all(rule["verbs"] == ["get", "list", "watch"] for rule in view["rules"])


# --- the schema of KServe's kinds -------------------------------------------------------------------------


def schema(plural: str) -> Manifest:
    definition = made().objects[f"CustomResourceDefinition/{plural}.serving.kserve.io"]
    [version] = [each for each in definition["spec"]["versions"] if each["served"]]
    found: Manifest = version["schema"]["openAPIV3Schema"]
    return found


def complaints(item: Manifest, plural: str) -> list[str]:
    """What the API server would refuse of an object, or drop without a word."""
    errors = jsonschema.Draft7Validator(whole(schema(plural))).iter_errors(item)
    return [f"{'.'.join(map(str, error.absolute_path))}: {error.message}" for error in errors]


def test_the_schema_finds_what_does_not_fit_in_a_runtime() -> None:
    """That ours and upstream's fit is among the tests of all stacks."""
    assert complaints(made().objects["ClusterServingRuntime/mlflow-here"], "clusterservingruntimes") == []
    wrong = copy.deepcopy(made().objects["ClusterServingRuntime/mlflow-here"])
    wrong["spec"]["protocolVersion"] = ["v2"]
    wrong["spec"]["containers"][0].pop("name")
    wrong["spec"]["supportedModelFormats"][0]["priority"] = "1"
    said = complaints(wrong, "clusterservingruntimes")
    assert len(said) == 3
    assert any("protocolVersion" in line for line in said)


# --- patches ----------------------------------------------------------------------------------------------

DEPLOYMENT: Manifest = {
    "kind": "Deployment", "metadata": {"name": "a"},
    "spec": {"template": {"spec": {"containers": [{"name": "a", "args": [], "readinessProbe": {}}]}}},
}  # fmt: skip


@pytest.mark.parametrize(
    "patch",
    [
        patches.leave_out_the_proxy,
        patches.lead_alone,
        controllers.ask_soon,
        patches.signed_by("authority"),
        patches.download_with("image", 1, []),
    ],
)
def test_a_patch_that_finds_nothing_to_change_fails(patch: patching.Patch) -> None:
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch([copy.deepcopy(DEPLOYMENT)])


def test_an_image_of_upstream_that_nobody_chose_is_refused() -> None:
    runtime = {"metadata": {"name": "a"}, "spec": {"containers": [{"image": "other:replace"}]}}
    with pytest.raises(ReleaseError, match="an image that is one of: known"):
        patches.run_images({"known": "image"}, 1)([runtime])
