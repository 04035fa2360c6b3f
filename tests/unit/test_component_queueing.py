"""Kueue: what is left of its chart, the pools as quotas, and who asks it."""

import base64
import copy
import functools
import json

import pytest
import yaml
from cryptography import x509

from infra import outputs, patching, releases
from infra.components.queueing import patches, queues, rights
from infra.components.queueing.component import Queueing, QueueingInputs
from infra.components.queueing.settings import PoolSettings, QueueingSettings
from infra.components.training import runtimes
from infra.components.training.settings import RuntimeSettings
from infra.controllers import Upstream
from infra.errors import ReleaseError
from infra.upstream import Manifest
from tests.unit.fake_cloud import FakeCloud, provision
from tests.unit.infra_stacks import lacks_upstream

HOOKS = ("MutatingWebhookConfiguration/", "ValidatingWebhookConfiguration/")


@functools.cache
def made(every_job: bool = False) -> FakeCloud:
    """The whole component, as a stack with pinned images has it."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    release = releases.load()["kueue"]
    [image] = [image for _, image in release.image_names()]
    inputs = QueueingInputs(
        namespace="here",
        kueue=Upstream(release=release, image=f"{image}@sha256:0"),
        queue="line",
        workloads="jobs-here",
    )
    settings = QueueingSettings(every_job=every_job)
    return provision(lambda: Queueing("queueing", settings, inputs))


def hooks() -> list[Manifest]:
    return [
        hook for key, each in made().objects.items() if key.startswith(HOOKS) for hook in each["webhooks"]
    ]


def configuration(every_job: bool = False) -> Manifest:
    data = made(every_job).objects["ConfigMap/kueue-manager-config"]["data"]
    found: Manifest = yaml.safe_load(data["controller_manager_config.yaml"])
    return found


def test_kueue_passes_the_restricted_level_and_has_its_size_from_the_settings() -> None:
    deployment = made().objects["Deployment/kueue-controller-manager"]["spec"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert container["resources"] == QueueingSettings().resources.manifest()
    assert container["image"].endswith("@sha256:0")
    assert container["imagePullPolicy"] == "IfNotPresent"
    assert deployment["minReadySeconds"] > 0


def test_only_jobs_and_kueues_own_objects_ask_kueue() -> None:
    """A Pod or Deployment that did would wait for it, and fail with it."""
    asked = {resource for hook in hooks() for rule in hook["rules"] for resource in rule["resources"]}
    assert asked >= {"jobs", "trainjobs", "mpijobs", "jobsets", "clusterqueues", "workloads"}
    assert not asked & {"pods", "deployments", "statefulsets", "rayjobs", "pytorchjobs"}


def test_the_platforms_own_jobs_never_ask_kueue() -> None:
    """Databases are made by a Job before Kueue runs, and must be when it does not."""
    selected = {"matchLabels": {"kubernetes.io/metadata.name": "jobs-here"}}
    for hook in hooks():
        if "jobs" in hook["rules"][0]["resources"]:
            assert hook["namespaceSelector"] == selected, hook["name"]
    assert configuration()["managedJobsNamespaceSelector"] == selected


def test_a_job_without_a_queue_is_held_back_only_where_the_settings_say_so() -> None:
    assert configuration()["manageJobsWithoutQueueName"] is False
    assert configuration(every_job=True)["manageJobsWithoutQueueName"] is True


def test_what_is_queued_is_what_the_webhooks_ask_about() -> None:
    """A kind that is queued and not asked about starts before it has its part of the quota."""
    assert set(configuration()["integrations"]["frameworks"]) == {
        "batch/job", "jobset.x-k8s.io/jobset", "kubeflow.org/mpijob", "trainer.kubeflow.org/trainjob",
    }  # fmt: skip
    mutated = made().objects["MutatingWebhookConfiguration/kueue-mutating-webhook-configuration"]
    asked = {resource for hook in mutated["webhooks"] for resource in hook["rules"][0]["resources"]}
    assert asked >= {"jobs", "jobsets", "mpijobs", "trainjobs"}


def test_nothing_of_the_visibility_server_is_left() -> None:
    assert [key for key in made().objects if "visibility" in key] == []
    [container] = made().pods()["Deployment/kueue-controller-manager"]["containers"]
    assert "--feature-gates=VisibilityOnDemand=false" in container["args"]


def test_roles_are_kueues_own_and_one_for_those_who_may_look() -> None:
    roles = [key.partition("/")[2] for key in made().objects if key.startswith("ClusterRole/")]
    assert sorted(roles) == [
        "kueue-manager-role", "kueue-metrics-auth-role", "kueue-metrics-reader", "seatrial-queueing-view",
    ]  # fmt: skip
    [rule] = rights.role()["rules"]
    assert rule["verbs"] == ["get", "list", "watch"]


def test_the_webhooks_certificate_is_there_before_kueue_is() -> None:
    data = made().objects["Secret/kueue-webhook-server-cert"]["data"]
    served = x509.load_pem_x509_certificate(base64.b64decode(data["tls.crt"]))
    names = served.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    [asked] = {hook["clientConfig"]["service"]["name"] for hook in hooks()}
    assert names.get_values_for_type(x509.DNSName) == [f"{asked}.here.svc"]


def test_kueue_is_watched_through_a_port_that_its_service_has() -> None:
    [monitor] = [each for key, each in made().objects.items() if key.startswith("ServiceMonitor/")]
    wanted = monitor["spec"]["selector"]["matchLabels"].items()
    [endpoint] = monitor["spec"]["endpoints"]
    watched = [
        each["metadata"]["name"]
        for key, each in made().objects.items()
        if key.startswith("Service/")
        and wanted <= each["metadata"].get("labels", {}).items()
        and endpoint["port"] in {port.get("name") for port in each["spec"]["ports"]}
    ]
    assert watched == ["kueue-controller-manager-metrics-service"], "the alert looks for this job"


def test_no_definition_carries_descriptions() -> None:
    definitions = [
        each for key, each in made().objects.items() if key.startswith("CustomResourceDefinition/")
    ]
    assert len(definitions) == 11
    assert all("'description': '" not in repr(each) for each in definitions)


# --- pools ------------------------------------------------------------------------------------------------


def objects(**pools: PoolSettings) -> dict[str, Manifest]:
    made = queues.objects(QueueingSettings(pools=pools), "line", "jobs-here")
    return {f"{each['kind']}/{each['metadata']['name']}": dict(each) for each in made}


def test_every_pool_has_a_quota_of_every_resource() -> None:
    """Kueue refuses a group whose flavors do not cover the same resources in the same order."""
    found = objects(
        cpu=PoolSettings(cpu="8", memory="32Gi"), a100=PoolSettings(cpu="48", memory="400Gi", gpus=8)
    )
    [group] = found["ClusterQueue/line"]["spec"]["resourceGroups"]
    assert group["coveredResources"] == ["cpu", "memory", "nvidia.com/gpu"]
    assert {
        each["name"]: [entry["nominalQuota"] for entry in each["resources"]] for each in group["flavors"]
    } == {
        "cpu": ["8", "32Gi", "0"],
        "a100": ["48", "400Gi", "8"],
    }
    for flavor in group["flavors"]:
        assert [entry["name"] for entry in flavor["resources"]] == group["coveredResources"]
    assert found["LocalQueue/line"]["spec"] == {"clusterQueue": "line"}
    assert found["LocalQueue/line"]["metadata"]["namespace"] == "jobs-here"
    assert found["ClusterQueue/line"]["spec"]["namespaceSelector"] == {
        "matchLabels": {"kubernetes.io/metadata.name": "jobs-here"}
    }


def test_the_gpu_runtime_may_run_in_a_pool_with_gpus_and_no_other_may() -> None:
    found = objects(gpu=PoolSettings(cpu="1", memory="1Gi", gpus=1, node_labels={"pool": "a100"}))
    spec = found["ResourceFlavor/gpu"]["spec"]
    runtime = runtimes.torch("torch-gpu", RuntimeSettings(), gpu=True)
    [job] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    pod = job["template"]["spec"]["template"]["spec"]
    assert pod["nodeSelector"].items() <= spec["nodeLabels"].items()
    assert spec["nodeLabels"]["pool"] == "a100"
    [taint] = spec["nodeTaints"]
    [tolerated] = pod["tolerations"]
    assert (tolerated["key"], tolerated["effect"]) == (taint["key"], taint["effect"])
    assert tolerated["operator"] == "Exists"


def test_a_pool_without_labels_leaves_the_jobs_as_they_are() -> None:
    assert objects(cpu=PoolSettings(cpu="1", memory="1Gi"))["ResourceFlavor/cpu"]["spec"] == {}


def test_every_stack_has_room_for_the_trainings_that_come_with_it() -> None:
    """Two nodes of 200m and 700Mi; more than a whole pool would wait for ever."""
    pool = QueueingSettings().pools["cpu"]
    assert int(pool.cpu) * 1000 >= 2 * 200
    assert int(pool.memory.removesuffix("Gi")) * 1024 >= 2 * 700


def test_jobs_find_the_queue_by_the_name_that_the_platform_promises() -> None:
    import workloads

    assert workloads.QUEUE_LABEL == outputs.QUEUE_LABEL


# --- patches ----------------------------------------------------------------------------------------------

DEPLOYMENT: Manifest = {"kind": "Deployment", "metadata": {"name": "a"}, "spec": {}}


@pytest.mark.parametrize(
    "patch",
    [
        patches.leave_out_visibility,
        patches.leave_out_roles_for_users,
        patches.ask_only_about(frozenset({"jobs"})),
    ],
)
def test_a_patch_that_finds_nothing_to_change_fails(patch: patching.Patch) -> None:
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch([copy.deepcopy(DEPLOYMENT)])


def test_the_chart_is_told_its_configuration_as_text_that_it_can_read() -> None:
    assert json.dumps(configuration()["clientConnection"]) == '{"burst": 100, "qps": 50}'
