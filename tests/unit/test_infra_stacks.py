"""What holds of every committed stack, decided without a cluster."""

import base64
import collections
import json
import tomllib
from pathlib import Path

import pytest

from infra import outputs, releases, settings
from infra.errors import UnpinnedImage
from local.images import recipe
from seatrial.open_ import PARTS
from tests.unit import infra_stacks
from tests.unit.infra_stacks import STACKS, build, built, configuration, secrets_in

ROOT = Path(__file__).parents[2]
CLUSTER_WIDE = {
    "Namespace", "CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding", "ClusterTrainingRuntime",
    "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding", "ResourceFlavor", "ClusterQueue", "GatewayClass",
    "ClusterServingRuntime", "ClusterStorageContainer", "APIService",
}  # fmt: skip
MEMORY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}


def test_every_stack_file_is_tried_here() -> None:
    assert {file.name.split(".")[1] for file in settings.STACKS.glob("*.yaml")} == set(STACKS)


@pytest.mark.parametrize("stack", STACKS)
def test_a_stack_has_all_components(stack: str) -> None:
    components = {each.type.rpartition(":")[2] for each in built(stack).resources}
    assert components >= {"Namespaces", "MonitoringOperator", "Monitoring", "Postgresql", "ObjectStore"}
    assert components >= {"Trino", "Mlflow", "WorkloadAccess", "Training", "Tuning", "Queueing"}
    assert components >= {"Certificates", "Gateway"}


def test_the_core_alone_has_nothing_of_other_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_PARTS", "core")
    core = build("local", configuration("local"))
    of_parts = {"Training", "Tuning", "Queueing", "Certificates", "Gateway"}
    assert not of_parts & {each.type.rpartition(":")[2] for each in core.resources}
    assert [each.name for each in core.objects if "training" in json.dumps(each.inputs)] == []
    assert [each.name for each in core.objects if "queueing" in json.dumps(each.inputs)] == []
    [access] = [each for each in core.of_kind("Secret") if each.name == "workloads/platform-access"]
    assert [each.name for each in core.objects if "platform-serving" in json.dumps(each.inputs)] == []
    for part in ("tuning", "serving"):
        assert not set(outputs.SECRET_ACCESS_OF[part]) & set(access.inputs["data"])
    assert core.images() == {image for image, _, _ in releases.local_images(())}
    assert {each.name for each in core.resources} < {each.name for each in built("local").resources}


def test_only_the_local_stack_listens_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEATRIAL_PARTS", "core")
    dev = build("dev", configuration("dev"))
    assert "Training" in {each.type.rpartition(":")[2] for each in dev.resources}


def test_what_creates_training_objects_waits_until_their_webhooks_serve() -> None:
    """They are fail-closed; the engine knows what to wait for from dependencies alone."""
    urns = {each.name: each.urn for each in built("local").objects if each.inputs["kind"] == "Deployment"}
    for runtime in built("local").of_kind("ClusterTrainingRuntime"):
        for controller in ("jobset-controller", "kubeflow-trainer-controller-manager"):
            assert urns[f"platform-training/{controller}"] in runtime.depends_on, runtime.name


@pytest.mark.parametrize("stack", STACKS)
def test_no_object_is_registered_twice(stack: str) -> None:
    """The fake cloud would not notice; the engine would refuse, and only when it runs."""
    counted = collections.Counter((each.type, each.name) for each in built(stack).resources)
    assert [key for key, count in counted.items() if count > 1] == []


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_has_a_name_of_its_own(stack: str) -> None:
    assert [each.name for each in built(stack).objects if not each.inputs["metadata"].get("name")] == []


@pytest.mark.parametrize("stack", STACKS)
def test_every_namespace_that_an_object_is_in_is_made(stack: str) -> None:
    made = {each.inputs["metadata"]["name"] for each in built(stack).of_kind("Namespace")}
    made.add("kube-system")  # Every cluster has it, and in it who may read how clients are known.
    inside = [each for each in built(stack).objects if each.inputs["kind"] not in CLUSTER_WIDE]
    assert [each.name for each in inside if each.inputs["metadata"].get("namespace") not in made] == []


@pytest.mark.parametrize("stack", STACKS)
def test_every_object_goes_through_the_stacks_own_provider(stack: str) -> None:
    """The default provider speaks to whatever cluster kubectl speaks to."""
    assert [each.name for each in built(stack).objects if "cluster" not in each.provider] == []


@pytest.mark.parametrize("stack", STACKS)
def test_every_entry_of_a_secret_is_secret_to_the_engine_in_both_directions(stack: str) -> None:
    found = built(stack).of_kind("Secret")
    assert found
    for each in found:
        assert "stringData" not in each.inputs, each.name
        assert all(secrets_in({key: value}) for key, value in _entries(each)), each.name
        assert "data" in each.secret_outputs, each.name


def _entries(each: infra_stacks.Registered) -> list[tuple[str, object]]:
    data = each.marked["data"]
    return [("data", data)] if not isinstance(data, dict) or secrets_in({"x": data}) else list(data.items())


@pytest.mark.parametrize("stack", STACKS)
def test_no_generated_value_stands_in_plain_text_in_an_object_that_is_no_secret(stack: str) -> None:
    values = {
        base64.b64decode(value).decode()
        for each in built(stack).of_kind("Secret")
        if "data" in each.ignore_changes
        for value in each.inputs["data"].values()
    }
    generated = {value for value in values if len(value) > 20}  # Shorter are names of users.
    assert len(generated) >= 7
    for each in built(stack).objects:
        if each.inputs["kind"] != "Secret" and not secrets_in(each.marked):
            text = json.dumps(each.inputs)
            assert [value for value in generated if value in text] == [], each.name


@pytest.mark.parametrize("stack", STACKS)
def test_what_can_be_opened_has_its_address_in_the_access_secret(stack: str) -> None:
    [access] = [
        each
        for each in built(stack).of_kind("Secret")
        if each.name == f"{outputs.NAMESPACE_WORKLOADS}/{outputs.SECRET_ACCESS}"
    ]
    entries = access.inputs["data"]
    assert {address for address, _, _ in PARTS.values()} <= set(entries)
    alertmanager = base64.b64decode(entries["ALERTMANAGER_URL"]).decode()
    assert alertmanager == "http://alertmanager.platform-monitoring.svc.cluster.local:9093"


def test_generated_secrets_stay_as_they_were_first_made() -> None:
    kept = [each.name for each in built("local").of_kind("Secret") if "data" in each.ignore_changes]
    assert "platform-data/postgresql-postgres" in kept
    assert f"{outputs.NAMESPACE_WORKLOADS}/{outputs.SECRET_ACCESS}" not in kept


def test_a_second_build_makes_the_same_but_for_generated_secrets() -> None:
    first, second = (
        {
            (each.type, each.name): json.dumps(each.inputs, sort_keys=True)
            for each in made.objects
            if each.inputs["kind"] not in ("Secret", "ConfigMap", "Deployment")
        }
        for made in (built("local"), build("local", configuration("local")))
    )
    assert first == second


@pytest.mark.parametrize("stack", STACKS)
def test_exactly_the_images_of_the_releases_are_run(stack: str) -> None:
    wanted = releases.local_images() if stack == "local" else releases.upstream_images()
    named = {
        image if stack == "local" else f"{image}@sha256:{'0' * 64}"
        for image, _, _ in wanted
        if stack in ("local", "dev") or "versitygw" not in image
    }
    assert built(stack).images() == named


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_an_image_without_a_digest_is_refused(stack: str) -> None:
    with pytest.raises(UnpinnedImage, match=r"(?s)no digest in infra/releases.toml.*seatrial images pin"):
        build(stack, configuration(stack))


@pytest.mark.parametrize("stack", STACKS)
def test_databases_and_what_they_need_are_protected_where_it_matters(stack: str) -> None:
    protected = {each.inputs["kind"] for each in built(stack).objects if each.protect}
    assert protected == ({"StatefulSet", "Secret", "Namespace"} if stack in ("staging", "prod") else set())
    assert {each.protect for each in built(stack).of_kind("StatefulSet")} == {stack in ("staging", "prod")}


@pytest.mark.parametrize("stack", ["staging", "prod"])
def test_what_is_replaced_in_normal_work_is_not_protected(stack: str) -> None:
    """The Job that makes databases has a new name for a new list; a protected one could not go."""
    assert {each.protect for each in [*built(stack).of_kind("Job"), *built(stack).of_kind("ConfigMap")]} == {
        False
    }


@pytest.mark.parametrize("stack", STACKS)
def test_what_prometheus_selects_is_labelled(stack: str) -> None:
    watched = [*built(stack).of_kind("ServiceMonitor"), *built(stack).of_kind("PrometheusRule")]
    assert len(watched) >= 7
    for each in watched:
        assert each.inputs["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seatrial", each.name


@pytest.mark.parametrize("stack", STACKS)
def test_an_object_store_that_others_run_has_no_alerts_here(stack: str) -> None:
    rules = {each.inputs["metadata"]["name"] for each in built(stack).of_kind("PrometheusRule")}
    assert "postgresql" in rules
    assert ("object-store" in rules) == (settings.of_stack_file(stack).object_store.external is None)


def test_what_prometheus_reads_of_a_kubelet_can_be_told_apart() -> None:
    """Else three pages have one `up`, and one that fails is hidden by the others."""
    monitors = [each.inputs for each in built("local").of_kind("ServiceMonitor")]
    (kubelet,) = [each["spec"] for each in monitors if each["metadata"]["name"] == "kubelet"]
    assert len(kubelet["endpoints"]) == 3
    told = {"sourceLabels": ["__metrics_path__"], "targetLabel": "metrics_path"}
    assert all(told in endpoint["relabelings"] for endpoint in kubelet["endpoints"])


def test_the_local_stack_fits_beside_the_workloads() -> None:
    """Three nodes share two cores and 24 GiB; two training pods want 1 core and 4 GiB of that."""
    requests = [
        container["resources"]["requests"]
        for each in built("local").objects
        for container in _containers(each.inputs)
    ]
    assert len(requests) >= 6
    assert sum(_cores(each["cpu"]) for each in requests) <= 1.2
    assert sum(_bytes(each["memory"]) for each in requests) <= 9 * 2**30


def _containers(manifest: infra_stacks.Manifest) -> list[infra_stacks.Manifest]:
    if manifest["kind"] in ("Prometheus", "Alertmanager"):
        return [manifest["spec"]]
    template = (manifest.get("spec") or {}).get("template") or {}
    found: list[infra_stacks.Manifest] = template.get("spec", {}).get("containers", [])
    return found


def _cores(quantity: str) -> float:
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _bytes(quantity: str) -> int:
    return int(quantity[:-2]) * MEMORY[quantity[-2:]]


@pytest.mark.parametrize("stack", STACKS)
def test_what_the_queue_lets_run_its_namespace_does_not_refuse(stack: str) -> None:
    """Beyond the namespace's quota a pod is refused, and its job, which was let run, has no pods."""
    chosen = settings.of_stack_file(stack)
    most, pools = chosen.namespaces.workloads.quota, chosen.queueing.pools.values()
    assert sum(_cores(pool.cpu) for pool in pools) <= _cores(most.cpu)
    assert sum(_bytes(pool.memory) for pool in pools) <= _bytes(most.memory)


@pytest.mark.parametrize("stack", STACKS)
def test_every_definition_is_awaited(stack: str) -> None:
    for each in built(stack).of_kind("CustomResourceDefinition"):
        assert each.inputs["metadata"]["annotations"]["pulumi.com/waitFor"] == "condition=Established"


@pytest.mark.parametrize(("stack", "longest"), [("local", "5s"), ("prod", None)])
def test_a_stack_that_hastens_its_alerts_tells_those_who_bring_more(stack: str, longest: str | None) -> None:
    [server] = built(stack).of_kind("Prometheus")
    assert server.inputs["metadata"]["annotations"].get(outputs.ANNOTATION_LONGEST_FOR) == longest
    assert server.inputs["metadata"]["name"] == outputs.PROMETHEUS


def test_workloads_find_all_they_need_in_one_secret() -> None:
    [access] = [each for each in built("local").of_kind("Secret") if each.name == "workloads/platform-access"]
    text = Path(outputs.__file__).read_text()
    documented = text[text.index("AWS_ENDPOINT_URL") :].partition('"""')[0].split()
    assert set(access.inputs["data"]) == set(documented)


def test_every_image_has_a_recipe_and_every_recipe_an_image() -> None:
    addons = tomllib.loads((ROOT / "local/cluster/addons/images.toml").read_text()).values()
    wanted = {recipe for _, recipe, _ in releases.local_images()} | set(addons)
    wanted |= {name for name in recipe.known() if recipe.load(name).code}
    assert {each.name for name in wanted for each in recipe.chain(name)} == set(recipe.known())
