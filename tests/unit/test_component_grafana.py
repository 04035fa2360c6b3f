"""Grafana in cloud stacks: what it is told, what it may read, and that the local stack does without."""

import json
import re
from typing import Any

import pytest

from infra import releases
from infra.components.monitoring import grafana
from infra.components.monitoring.dashboards import LABEL
from tests.unit.infra_stacks import STACKS, built

SPACE = "platform-monitoring"
CLOUD = [stack for stack in STACKS if stack != "local"]


def only(stack: str, kind: str) -> dict[str, Any]:
    """The object of a kind that is Grafana's."""
    [found] = [each.inputs for each in built(stack).of_kind(kind) if each.name == f"{SPACE}/grafana"]
    return found


def containers(stack: str) -> dict[str, dict[str, Any]]:
    return {
        each["name"]: each for each in only(stack, "Deployment")["spec"]["template"]["spec"]["containers"]
    }


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in container["env"] if "value" in each}


def test_the_local_stack_has_no_grafana_and_no_image_of_it() -> None:
    assert [each.name for each in built("local").objects if each.name.endswith("/grafana")] == []
    assert not releases.load()["grafana"].built_here
    assert not releases.load()["grafana-dashboards-sidecar"].built_here


@pytest.mark.parametrize("stack", CLOUD)
def test_prometheus_is_the_source_that_dashboards_are_loaded_with(stack: str) -> None:
    data = only(stack, "ConfigMap")["data"]
    [source] = json.loads(data["datasources.yaml"])["datasources"]
    [prometheus] = [
        each.inputs for each in built(stack).of_kind("Service") if each.name == f"{SPACE}/prometheus"
    ]
    port = prometheus["spec"]["ports"][0]["port"]
    assert source["url"] == f"http://prometheus.platform-monitoring.svc.cluster.local:{port}"
    assert source["isDefault"]
    [server] = built(stack).of_kind("Prometheus")
    assert source["jsonData"]["timeInterval"] == server.inputs["spec"]["scrapeInterval"]


@pytest.mark.parametrize("stack", CLOUD)
def test_the_sidecar_writes_labelled_config_maps_to_where_grafana_looks(stack: str) -> None:
    [provider] = json.loads(only(stack, "ConfigMap")["data"]["dashboards.yaml"])["providers"]
    both = containers(stack)
    told = variables(both["dashboards"])
    assert {told["LABEL"]: told["LABEL_VALUE"]} == LABEL
    assert told["FOLDER"] == provider["options"]["path"]
    for each in both.values():
        [place] = [mount for mount in each["volumeMounts"] if mount["name"] == "dashboards"]
        assert place["mountPath"] == told["FOLDER"]
    rules = only(stack, "Role")["rules"]
    assert rules == [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "watch"]}]
    assert only(stack, "RoleBinding")["subjects"][0]["name"] == grafana.NAME


@pytest.mark.parametrize("stack", CLOUD)
def test_its_files_lie_where_it_reads_them(stack: str) -> None:
    [volume] = [
        each
        for each in only(stack, "Deployment")["spec"]["template"]["spec"]["volumes"]
        if each["name"] == "provisioning"
    ]
    paths = {item["key"]: item["path"] for item in volume["configMap"]["items"]}
    assert paths.keys() == only(stack, "ConfigMap")["data"].keys()
    for key, path in paths.items():
        assert re.fullmatch(rf"{key.removesuffix('.yaml')}/\w+\.yaml", path)


@pytest.mark.parametrize("stack", CLOUD)
def test_its_password_is_generated_and_in_a_secret_alone(stack: str) -> None:
    [login] = [each for each in built(stack).of_kind("Secret") if each.name == f"{SPACE}/grafana"]
    assert set(login.inputs["data"]) == {"user", "password"}
    assert "data" in login.ignore_changes
    named = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in containers(stack)["grafana"]["env"]
        if "valueFrom" in each
    }
    assert named["GF_SECURITY_ADMIN_PASSWORD"] == {"name": "grafana", "key": "password"}


@pytest.mark.parametrize("stack", CLOUD)
def test_a_changed_provisioning_starts_it_anew_and_its_pod_is_restricted(stack: str) -> None:
    template = only(stack, "Deployment")["spec"]["template"]
    assert template["metadata"]["annotations"]["seatrial.dev/configuration"]
    assert template["spec"]["securityContext"]["runAsNonRoot"]
    for each in template["spec"]["containers"]:
        assert each["securityContext"]["readOnlyRootFilesystem"]
        assert not each["securityContext"]["allowPrivilegeEscalation"]
        assert "@sha256:" in each["image"]
