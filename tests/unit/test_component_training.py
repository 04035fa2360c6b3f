"""Trainer, JobSet and the MPI Operator: their certificates, patches, runtimes and rights."""

import base64
import copy
import functools

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from infra import controllers, outputs, patching, releases, webhook_certificate
from infra.components.training import admission, patches, rights, runtimes
from infra.components.training.component import Training, TrainingInputs
from infra.components.training.settings import RuntimeSettings, TrainingSettings
from infra.controllers import Upstream
from infra.errors import ReleaseError
from infra.upstream import Manifest
from tests.unit.fake_cloud import FakeCloud, provision
from tests.unit.infra_stacks import lacks_upstream
from workloads import common

CONTROLLERS = ("jobset-controller", "kubeflow-trainer-controller-manager", "mpi-operator")
NEEDED = {"trainer": "kubeflow-trainer-webhook-cert", "jobset": "jobset-webhook-server-cert"}
LABELS = {"app": "one"}


@functools.cache
def made() -> FakeCloud:
    """The whole component, as a stack with pinned images has it."""
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    found = releases.load()

    def upstream(name: str) -> Upstream:
        [image] = [image for _, image in found[name].image_names()]
        return Upstream(release=found[name], image=f"{image}@sha256:0")

    inputs = TrainingInputs(
        namespace="here",
        jobset=upstream("jobset"),
        trainer=upstream("trainer"),
        mpi_operator=upstream("mpi-operator"),
        runtime="torch",
        gpu_runtime="torch-gpu",
        tensorflow_runtime="tensorflow",
    )
    return provision(lambda: Training("training", TrainingSettings(), inputs))


@functools.cache
def entries() -> dict[str, str]:
    return webhook_certificate.make("a-ca", "webhook", "here")


def loaded(entry: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(entries()[entry].encode())


def dns_names(found: x509.Certificate) -> list[str]:
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)


def test_a_webhook_is_asked_by_the_name_in_its_certificate() -> None:
    assert dns_names(loaded("tls.crt")) == ["webhook.here.svc"]
    loaded("tls.crt").verify_directly_issued_by(loaded("ca.crt"))
    assert (
        load_pem_private_key(entries()["tls.key"].encode(), None).public_key()
        == loaded("tls.crt").public_key()
    )


def test_the_controller_takes_the_authority_for_its_own() -> None:
    """cert-controller's conditions: its name as a DNS name, an RSA key in PKCS #1, more than 90 days left."""
    assert dns_names(loaded("ca.crt")) == ["a-ca"]
    assert entries()["ca.key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert (
        load_pem_private_key(entries()["ca.key"].encode(), None).public_key() == loaded("ca.crt").public_key()
    )
    assert (loaded("ca.crt").not_valid_after_utc - loaded("ca.crt").not_valid_before_utc).days > 3000


@pytest.mark.parametrize("secret", NEEDED.values())
def test_certificates_are_there_before_their_controller(secret: str) -> None:
    data = made().objects[f"Secret/{secret}"]["data"]
    assert all(base64.b64decode(data[key]) for key in ("ca.crt", "ca.key", "tls.crt", "tls.key"))
    mounted = {
        volume["secret"]["secretName"]
        for pod in made().pods().values()
        for volume in pod.get("volumes", ())
        if "secret" in volume
    }
    assert secret in mounted


def test_every_webhook_asks_a_service_that_its_certificate_names() -> None:
    hooks = [each for key, each in made().objects.items() if "WebhookConfiguration/" in key]
    asked = {hook["clientConfig"]["service"]["name"] for each in hooks for hook in each["webhooks"]}
    named = {
        dns_names(x509.load_pem_x509_certificate(base64.b64decode(each["data"]["tls.crt"])))[0]
        for key, each in made().objects.items()
        if key.startswith("Secret/")
    }
    assert {f"{service}.here.svc" for service in asked} == named
    for each in hooks:
        assert all("caBundle" not in hook["clientConfig"] for hook in each["webhooks"]), (
            "the controller's own"
        )


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_controller_passes_the_restricted_level_and_has_its_size_from_the_settings(name: str) -> None:
    pod = made().pods()[f"Deployment/{name}"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 65532
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"]["allowPrivilegeEscalation"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]["limits"]) == {"memory"}
    assert container["image"].endswith("@sha256:0")
    assert container.get("imagePullPolicy", "IfNotPresent") == "IfNotPresent"
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["timeoutSeconds"] >= 3, probe


def test_the_deployments_behind_webhooks_settle_before_anyone_asks_them() -> None:
    for name in CONTROLLERS[:2]:
        assert made().objects[f"Deployment/{name}"]["spec"]["minReadySeconds"] > 0


def test_the_mpi_operator_keeps_its_lease_where_it_may() -> None:
    [container] = made().pods()["Deployment/mpi-operator"]["containers"]
    assert "--lock-namespace=here" in container["args"]
    assert made().objects["ServiceAccount/mpi-operator"]["metadata"]["namespace"] == "here"
    binding = made().objects["ClusterRoleBinding/mpi-operator"]
    assert {subject["namespace"] for subject in binding["subjects"]} == {"here"}


def test_every_controller_is_watched_through_a_port_that_its_service_has() -> None:
    services = [each for key, each in made().objects.items() if key.startswith("Service/")]
    monitors = [each for key, each in made().objects.items() if key.startswith("ServiceMonitor/")]
    assert len(monitors) == 3
    for monitor in monitors:
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        [endpoint] = monitor["spec"]["endpoints"]
        ports = {
            port["name"]
            for service in services
            if wanted <= service["metadata"]["labels"].items()
            for port in service["spec"]["ports"]
        }
        assert endpoint["port"] in ports, monitor["metadata"]["name"]


def test_no_definition_carries_descriptions() -> None:
    definitions = [
        each for key, each in made().objects.items() if key.startswith("CustomResourceDefinition/")
    ]
    assert len(definitions) == 5
    for each in definitions:
        assert "'description': '" not in repr(each), each["metadata"]["name"]


def runtime(gpu: bool = False, **settings: object) -> Manifest:
    return dict(runtimes.torch("torch", RuntimeSettings.model_validate(settings), gpu=gpu))


def job(gpu: bool = False) -> Manifest:
    [found] = runtime(gpu)["spec"]["template"]["spec"]["replicatedJobs"]
    made: Manifest = found["template"]
    return made


def test_trainer_finds_the_job_and_the_container_that_it_trains_in() -> None:
    assert job()["metadata"]["labels"] == {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    [container] = job()["spec"]["template"]["spec"]["containers"]
    assert container["name"] == "node"
    assert "image" not in container, "the TrainJob's own"


def test_a_failed_pod_is_jobsets_to_replace_and_nobody_elses() -> None:
    spec = runtime(max_restarts=1)["spec"]["template"]["spec"]
    assert spec["failurePolicy"]["maxRestarts"] == 1
    assert job()["spec"]["backoffLimit"] == 0
    assert job()["spec"]["template"]["spec"]["restartPolicy"] == "Never"


def test_a_job_that_would_fail_again_is_not_made_anew() -> None:
    spec = runtime()["spec"]["template"]["spec"]
    [on_job] = spec["failurePolicy"]["rules"]
    [on_pod] = job()["spec"]["podFailurePolicy"]["rules"]
    assert on_job["action"] == "FailJobSet"
    assert on_job["onJobFailureReasons"] == ["PodFailurePolicy"], "Kubernetes' name for what `on_pod` does"
    assert on_pod["action"] == "FailJob"
    assert on_pod["onExitCodes"]["values"] == [outputs.EXIT_HOPELESS] == [common.HOPELESS]
    assert on_pod["onExitCodes"]["containerName"] == "node"


@pytest.mark.parametrize("gpu", [False, True])
def test_a_training_pod_passes_the_restricted_level(gpu: bool) -> None:
    pod = job(gpu)["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False


def test_pods_of_one_job_are_spread_whatever_other_jobs_do() -> None:
    template = job()["spec"]["template"]
    [spread] = template["spec"]["topologySpreadConstraints"]
    assert spread["whenUnsatisfiable"] == "DoNotSchedule"
    assert spread["matchLabelKeys"] == ["jobset.sigs.k8s.io/jobset-name"]
    assert spread["labelSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()


def test_only_the_gpu_runtime_asks_for_a_gpu_and_goes_where_they_are() -> None:
    plain, gpu = (job(each)["spec"]["template"]["spec"] for each in (False, True))
    assert "nvidia.com/gpu" not in repr(plain)
    [container] = gpu["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["resources"]["requests"]["nvidia.com/gpu"] == "1"
    assert [each["key"] for each in gpu["tolerations"]] == ["nvidia.com/gpu"]


def test_a_tensorflow_job_is_restarted_as_one_of_pytorch_and_told_who_it_is() -> None:
    made = dict(runtimes.tensorflow("tensorflow", RuntimeSettings()))
    assert made["metadata"]["name"] == "tensorflow"
    assert made["spec"] == runtime()["spec"]
    assert "torch" in made["spec"]["mlPolicy"], "without it Trainer tells no pod how many there are"


def test_changed_restart_rules_are_where_the_engine_is_told_to_replace() -> None:
    place: object = runtime()
    for key in runtimes.RESTART_RULES.split("."):
        assert isinstance(place, dict)
        place = place[key]
    assert isinstance(place, dict)
    assert place["maxRestarts"] == 3


def test_who_may_look_may_not_write() -> None:
    edit, view = rights.roles()
    assert edit["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-edit"] == "true"
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"
    assert {verb for rule in view["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
    shared = [rule for rule in edit["rules"] if "clustertrainingruntimes" in rule["resources"]]
    assert [rule["verbs"] for rule in shared] == [["get", "list", "watch"]]


def test_only_jobs_that_name_our_runtimes_must_name_an_image() -> None:
    rule, binding = admission.policy(("torch-gpu", "torch"))
    [validation] = rule["spec"]["validations"]
    assert '.name in ["torch", "torch-gpu"]' in validation["expression"]
    assert "torch and torch-gpu have none" in validation["message"]
    assert binding["spec"] == {"policyName": rule["metadata"]["name"], "validationActions": ["Deny"]}


DEPLOYMENT: Manifest = {
    "kind": "Deployment",
    "metadata": {"name": "a"},
    "spec": {"template": {"spec": {"containers": [{"name": "a", "args": []}]}}},
}


@pytest.mark.parametrize(
    "patch",
    [
        controllers.leave_out_the_empty_certificate,
        patches.leave_out_the_namespace,
        patches.leave_out_kubeflows_roles,
        controllers.give_probes_time,
        patches.keep_its_lease_in("here"),
    ],
)
def test_a_patch_that_finds_nothing_to_change_fails(patch: patching.Patch) -> None:
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch([copy.deepcopy(DEPLOYMENT)])


@pytest.mark.parametrize("patch", [patches.serve_metrics("-port=1"), patches.ask_for_health(1)])
def test_a_patch_that_the_upstream_has_caught_up_with_fails(patch: patching.Patch) -> None:
    once = patch([copy.deepcopy(DEPLOYMENT)])
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch(once)
