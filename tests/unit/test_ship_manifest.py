"""What runs the shipper fits the platform, and its alerts say what they mean."""

import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import workloads
from infra import alerts, kube, outputs, parts
from tests.unit.test_infra_definitions import definitions
from workloads.ship_predictions import telemetry

IMAGE = "registry.example/seatrial/workloads:0123"
ROOT = Path(__file__).parents[2]


def made(**options: Any) -> dict[str, dict[str, Any]]:
    """The objects by kind."""
    return {item["kind"]: item for item in workloads.manifest("ship_predictions", IMAGE, **options)}


def rules() -> dict[str, dict[str, Any]]:
    (group,) = made()["PrometheusRule"]["spec"]["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


def test_it_runs_in_the_image_of_the_booking_service_and_needs_serving() -> None:
    template = made()["Deployment"]["spec"]["template"]
    (main,) = template["spec"]["containers"]
    assert main["image"] == "registry.example/seatrial/booking-api:0123"
    assert workloads.parts("ship_predictions") == ("serving",)
    (monitor,) = made()["PodMonitor"]["spec"]["podMetricsEndpoints"]
    assert monitor["port"] in {port["name"] for port in main["ports"]}
    assert (
        made()["PodMonitor"]["spec"]["selector"]["matchLabels"].items()
        <= template["metadata"]["labels"].items()
    )


def test_prometheus_looks_at_what_is_labelled_so() -> None:
    for kind in ("PodMonitor", "PrometheusRule"):
        labels = made()[kind]["metadata"]["labels"]
        assert labels.items() >= kube.PART_OF.items()
        assert labels["seatrial.dev/workload"] == "ship-predictions", "so that it goes with the workload"


def test_only_who_deletes_from_the_log_has_an_account() -> None:
    assert made().keys() == {"Deployment", "PodMonitor", "PrometheusRule"}
    objects = made(arguments=["--set", "keep_days=30"])
    assert objects["Role"]["rules"] == [
        {"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"], "verbs": ["list"]}
    ]
    spec = objects["Deployment"]["spec"]["template"]["spec"]
    assert spec["automountServiceAccountToken"] is True
    (subject,) = objects["RoleBinding"]["subjects"]
    assert subject["name"] == spec["serviceAccountName"] == objects["ServiceAccount"]["metadata"]["name"]
    assert objects["RoleBinding"]["roleRef"]["name"] == objects["Role"]["metadata"]["name"]


def test_a_setting_that_there_is_not_is_refused_before_anything_is_deployed() -> None:
    with pytest.raises(ValueError, match="there is no setting 'often'"):
        workloads.manifest("ship_predictions", IMAGE, arguments=["--set", "often=3"])


def test_alerts_look_like_those_of_components_and_have_runbooks() -> None:
    theirs = [
        rule
        for each in alerts.rules(parts.ALL).values()
        for group in each["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]
    for name, rule in rules().items():
        assert rule.keys() == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in {each["labels"]["severity"] for each in theirs}
        assert rule["annotations"].keys() == {"summary", "runbook_url"}
        runbook = ROOT / rule["annotations"]["runbook_url"]
        assert runbook.read_text().startswith(f"# {name}\n")


def test_alerts_read_what_the_shipper_tells() -> None:
    told = {*telemetry.GAUGES, "feedback_lag_seconds"}
    for rule in rules().values():
        asked = set(re.findall(r"\b(?:live|feedback)_[a-z_]+", rule["expr"]))
        assert asked
        assert asked <= told
    assert f'job="{outputs.NAMESPACE_WORKLOADS}/ship-predictions"' in rules()["FeedbackStalls"]["expr"]


@pytest.mark.parametrize("kind", ["PodMonitor", "PrometheusRule"])
def test_its_objects_fit_the_definitions_of_their_kinds(kind: str) -> None:
    item = made()[kind]
    jsonschema.Draft7Validator(definitions("local")[item["apiVersion"], kind]).validate(item)
