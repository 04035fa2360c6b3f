"""The objects of the booking service fit the platform, each other and the program that they run."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import workloads
from client import gateway, scaling
from infra import outputs
from infra.components.gateway import policies
from tests.unit.test_infra_definitions import definitions
from workloads.booking_api import api, config, experiment, manifest
from workloads.booking_api import main as program
from workloads.ingest_flights.main import source_folder

IMAGE = "registry.example/seatrial/workloads:0123"
DIVIDED = {"name": "delay-v4", "arms": {"stable": 0.5, "canary": 0.5}}


def made(**options: Any) -> dict[str, dict[str, Any]]:
    """The objects by kind."""
    return {item["kind"]: item for item in workloads.manifest("booking_api", IMAGE, **options)}


def container(objects: dict[str, dict[str, Any]]) -> dict[str, Any]:
    (found,) = objects["Deployment"]["spec"]["template"]["spec"]["containers"]
    return dict(found)


def test_it_names_what_the_platform_promises() -> None:
    objects = made()
    (parent,) = objects["HTTPRoute"]["spec"]["parentRefs"]
    assert parent == gateway.parent()
    assert objects["HTTPRoute"]["spec"]["hostnames"] == [f"booking.{outputs.DOMAIN}"]
    assert objects["HTTPRoute"]["metadata"]["labels"][outputs.REPEATABLE_LABEL] == "true"
    assert workloads.parts("booking_api") == ("serving",)
    keys = {
        entry["valueFrom"]["secretKeyRef"]["key"]
        for entry in container(objects)["env"]
        if "secretKeyRef" in entry.get("valueFrom", {})
    }
    assert keys == {*outputs.SECRET_ACCESS_OF["serving"], "credential"}
    assert manifest.CREDENTIAL_SECRET == outputs.SECRET_GATEWAY_CREDENTIAL


def test_it_gets_each_variable_that_it_asks_for_and_no_password_besides() -> None:
    main = container(made())
    given = {entry["name"] for entry in main["env"]}
    folder = Path(manifest.__file__).parent
    text = "".join(path.read_text() for path in folder.glob("*.py"))
    asked = set(re.findall(r'(?:env|environ\.get)\("([A-Z_]+)"', text))
    assert {"MODEL", "EXPERIMENT", "BOOKINGS_DATABASE", "GATEWAY_CA"} <= asked <= given
    assert "envFrom" not in main


def test_all_its_objects_mean_the_same_pods() -> None:
    objects = made()
    template = objects["Deployment"]["spec"]["template"]
    selectors = [
        objects["Deployment"]["spec"]["selector"]["matchLabels"],
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        objects["PodMonitor"]["spec"]["selector"]["matchLabels"],
    ]
    assert all(selector.items() <= template["metadata"]["labels"].items() for selector in selectors)
    # The pods of the Job are no pods of the Service.
    loading = objects["Job"]["spec"]["template"]["metadata"]["labels"]
    assert not any(selector.items() <= loading.items() for selector in selectors)
    (port,) = objects["Service"]["spec"]["ports"]
    (own,) = container(objects)["ports"]
    assert (
        port["targetPort"] == own["name"] == objects["PodMonitor"]["spec"]["podMetricsEndpoints"][0]["port"]
    )
    assert own["containerPort"] == config.reference().port == manifest.PORT
    (backend,) = objects["HTTPRoute"]["spec"]["rules"][0]["backendRefs"]
    assert (backend["name"], backend["port"]) == (objects["Service"]["metadata"]["name"], port["port"])
    assert objects["PodMonitor"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seatrial"


def test_the_service_has_an_image_and_a_version_of_its_own_and_the_facts_come_from_where_the_data_is() -> (
    None
):
    objects = made()
    assert container(objects)["image"] == "registry.example/seatrial/booking-api:0123"
    labels = objects["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert labels["app.kubernetes.io/version"] == "0123"
    assert manifest.version_of("x/booking-api@sha256:" + "ab" * 32) == "ab" * 8
    (loading,) = objects["Job"]["spec"]["template"]["spec"]["containers"]
    assert loading["image"] == IMAGE
    assert source_folder().is_dir()


def test_it_follows_the_model_to_its_node_and_not_itself() -> None:
    pod = made()["Deployment"]["spec"]["template"]
    (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"] == {"seatrial.dev/colocate": "delay"}
    assert "seatrial.dev/colocate" not in pod["metadata"]["labels"]


def test_a_pod_that_ends_has_time_for_what_is_under_way() -> None:
    objects = made()
    spec = objects["Deployment"]["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    leaving = container(objects)["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > leaving + program.LAST_ANSWERS
    assert manifest.ANSWERING == program.LAST_ANSWERS
    slowest = config.reference().model_seconds + 4 * config.reference().database_seconds
    assert slowest <= program.LAST_ANSWERS
    starts = container(objects)["startupProbe"]
    assert starts["periodSeconds"] * starts["failureThreshold"] > config.reference().start_seconds
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


@pytest.mark.parametrize("given", [DIVIDED, experiment.EXAMPLE, None])
def test_another_experiment_is_another_rollout(given: Any) -> None:
    objects = made(experiment=given)
    text = objects["ConfigMap"]["data"]["EXPERIMENT"]
    parsed = experiment.parse(text)
    assert (parsed.name if parsed else None) == ("delay-v4" if given else None)
    told = objects["Deployment"]["spec"]["template"]["metadata"]["annotations"]["seatrial.dev/experiment"]
    assert told == (text or "none")


def test_who_scales_it_says_how_many_pods_there_are() -> None:
    assert made()["Deployment"]["spec"]["replicas"] == 2
    assert made(replicas=3)["Deployment"]["spec"]["replicas"] == 3
    assert "HorizontalPodAutoscaler" not in made()
    scaled = made(replicas=1, max_replicas=4, requests_per_second=7.5)
    assert "replicas" not in scaled["Deployment"]["spec"]
    spec = scaled["HorizontalPodAutoscaler"]["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 4)
    assert spec["scaleTargetRef"]["name"] == scaled["Deployment"]["metadata"]["name"]
    assert scaled["HorizontalPodAutoscaler"]["metadata"]["name"] == spec["scaleTargetRef"]["name"]


def test_it_is_scaled_like_its_model_by_a_metric_that_the_platform_has() -> None:
    mine = made(replicas=1, max_replicas=4, requests_per_second=7.5)["HorizontalPodAutoscaler"]["spec"]
    owner = {"apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "uid": "u"}}
    by = scaling.Scaling(most=4, requests_per_second=7.5)
    of_model = scaling.autoscaler("booking-api", "booking-api", 1, by, outputs.METRIC_BOOKING, owner)
    assert mine == of_model["spec"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_replicas": 3}, "both or neither"),
        ({"requests_per_second": 3.0}, "both or neither"),
        ({"max_replicas": 1, "requests_per_second": 3.0}, r"at least as many as the least, 2 \(got 1\)"),
        ({"max_replicas": 3, "requests_per_second": 0.0}, r"at least 0.001 \(got 0\)"),
    ],
)
def test_a_scaling_that_says_too_little_or_makes_no_sense_is_refused(options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**options)


def test_another_domain_is_that_of_its_own_host_and_of_the_models() -> None:
    objects = made(domain="example.org")
    assert objects["HTTPRoute"]["spec"]["hostnames"] == ["booking.example.org"]
    hosts = [entry["value"] for entry in container(objects)["env"] if entry["name"] == "MODEL_HOST"]
    assert hosts == ["delay.example.org"]


def test_another_instance_shares_nothing_with_the_first() -> None:
    """The proofs run one of their own, beside that of the platform's users."""
    first, other = made(), made(name="probe-booking", model="probe")
    names = [{item["metadata"]["name"] for item in objects.values()} for objects in (first, other)]
    assert not names[0] & names[1]
    pod = other["Deployment"]["spec"]["template"]
    assert not first["Service"]["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    env = {entry["name"]: entry for entry in container(other)["env"]}
    assert (env["MODEL"]["value"], env["MODEL_HOST"]["value"]) == ("probe", "probe.platform.test")
    assert env["EXPERIMENT"]["valueFrom"]["configMapKeyRef"]["name"] == "probe-booking"
    (term,) = pod["spec"]["affinity"]["podAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    assert term["labelSelector"]["matchLabels"] == {"seatrial.dev/colocate": "probe"}
    assert other["HTTPRoute"]["spec"]["hostnames"] == ["probe-booking.platform.test"]


def test_its_custom_objects_fit_the_definitions_of_their_kinds() -> None:
    known = definitions("local")
    custom = [item for item in made().values() if (item["apiVersion"], item["kind"]) in known]
    assert {item["kind"] for item in custom} == {"HTTPRoute", "HTTPRouteFilter", "PodMonitor"}
    for item in custom:
        jsonschema.Draft7Validator(known[item["apiVersion"], item["kind"]]).validate(item)


def test_the_tenant_is_read_where_the_gateway_writes_it() -> None:
    assert api.TENANT_HEADER == policies.TENANT_HEADER


def test_the_gateway_shows_that_it_wrote_it_on_the_services_own_route() -> None:
    objects = made()
    injected = objects["HTTPRouteFilter"]["spec"]["credentialInjection"]
    assert (injected["header"], injected["overwrite"]) == (api.CREDENTIAL_HEADER, True)
    (rule,) = objects["HTTPRoute"]["spec"]["rules"]
    (used,) = rule["filters"]
    assert used["extensionRef"]["name"] == objects["HTTPRouteFilter"]["metadata"]["name"]
    assert objects["HTTPRouteFilter"]["metadata"]["namespace"] == outputs.NAMESPACE_WORKLOADS
    (entry,) = [each for each in container(objects)["env"] if each["name"] == "GATEWAY_CREDENTIAL"]
    assert entry["valueFrom"]["secretKeyRef"]["name"] == injected["credential"]["valueRef"]["name"]
