"""Exporters: which rights they have, what they are asked for, and how their figures are named."""

import functools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.components.monitoring import objects
from infra.components.monitoring.exporters import Exporters, ExportersInputs
from infra.components.monitoring.settings import DcgmSettings, MonitoringSettings
from tests.unit.fake_cloud import FakeCloud, provision
from tests.unit.infra_stacks import STACKS, built
from workloads.watch_gpus import manifest as watch_gpus
from workloads.watch_objects import families, manifest

ROOT = Path(__file__).parents[2]
NODE, OBJECTS, GPUS = "node-exporter", "kube-state-metrics", "dcgm-exporter"


@functools.cache
def made() -> FakeCloud:
    inputs = ExportersInputs(
        namespace="here", node_image="node:1", objects_image="objects:1", gpus_image="gpus:1"
    )
    settings = MonitoringSettings(dcgm=DcgmSettings(runtime_class="nvidia"))
    return provision(lambda: Exporters("exporters", settings, inputs))


def pod(key: str) -> dict[str, Any]:
    return dict(made().pods()[key])


def container(key: str) -> dict[str, Any]:
    [found] = pod(key)["containers"]
    return dict(found)


def test_every_exporter_passes_the_restricted_level() -> None:
    assert made().pods()
    for key, each in made().pods().items():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(each), key
        assert [volume for volume in each["volumes"] if "hostPath" in volume] == [], key
        assert each["securityContext"]["runAsNonRoot"] is True
        assert each["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert container(key)["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container(key)["securityContext"]["allowPrivilegeEscalation"] is False
        assert container(key)["securityContext"]["readOnlyRootFilesystem"] is True


def test_a_node_is_asked_by_a_small_pod_whatever_else_it_refuses() -> None:
    spec = pod(f"DaemonSet/{NODE}")
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["automountServiceAccountToken"] is False
    requests = container(f"DaemonSet/{NODE}")["resources"]["requests"]
    assert requests == {"cpu": "10m", "memory": "32Mi"}


def test_only_collectors_run_that_tell_the_same_in_a_pod_as_outside() -> None:
    arguments = container(f"DaemonSet/{NODE}")["args"]
    assert arguments[0] == "--collector.disable-defaults"
    chosen = {each.removeprefix("--collector.") for each in arguments[1:] if "=" not in each}
    assert {"cpu", "meminfo", "filesystem", "diskstats", "timex"} <= chosen
    assert not chosen & {"netdev", "netclass", "netstat", "sockstat", "uname", "processes"}


def test_the_file_systems_are_those_of_containers_and_of_the_kubelet() -> None:
    main = container(f"DaemonSet/{NODE}")
    [mount] = main["volumeMounts"]
    [volume] = pod(f"DaemonSet/{NODE}")["volumes"]
    assert (volume["name"], volume["emptyDir"]) == (mount["name"], {})
    assert mount["readOnly"] is True
    options = dict(each.split("=", 1) for each in main["args"] if "=" in each)
    included = re.compile(options["--collector.filesystem.mount-points-include"])
    points = ("/", "/var/lib/kubelet", "/etc/hosts", "/dev/termination-log", "/proc", "/var/lib/kubelet/pods")
    assert [each for each in points if included.search(each)] == ["/", mount["mountPath"]]
    assert not re.search(options["--collector.filesystem.fs-types-exclude"], "overlay")


def test_figures_are_named_by_their_node() -> None:
    monitor = made().objects[f"PodMonitor/{NODE}"]
    assert monitor["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seatrial"
    labels = made().objects[f"DaemonSet/{NODE}"]["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()
    assert labels[monitor["spec"]["jobLabel"]] == NODE
    [endpoint] = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] == container(f"DaemonSet/{NODE}")["ports"][0]["name"]
    from_node = [each["targetLabel"] for each in endpoint["relabelings"] if "node_name" in str(each)]
    assert from_node == ["instance", "node"]


def test_alerts_ask_for_the_job_that_the_figures_have() -> None:
    groups = yaml.safe_load((ROOT / "infra/components/monitoring/alerts.yaml").read_text())["groups"]
    [rules] = [group["rules"] for group in groups if group["name"] == "nodes"]
    for rule in rules:
        assert set(re.findall(r'job="([^"]+)"', rule["expr"])) == {NODE}, rule["alert"]


def test_the_recipe_builds_what_says_its_version() -> None:
    recipe = tomllib.loads((ROOT / "local/images/recipes/node-exporter/recipe.toml").read_text())
    assert recipe["go"][0]["ldflags"].endswith("version.Version={version}")


# --- objects ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS)
def test_every_stack_has_account_rights_and_scraping_and_one_that_tells(stack: str) -> None:
    """In `local` that is a workload, which is no part of the program."""
    names = {(each.inputs["kind"], each.inputs["metadata"]["name"]) for each in built(stack).objects}
    assert {
        ("ServiceAccount", OBJECTS),
        ("PodMonitor", OBJECTS),
        ("ClusterRole", f"seatrial-{OBJECTS}"),
    } <= names
    assert (("Deployment", OBJECTS) in names) == (stack != "local")


def test_it_may_list_and_watch_what_it_tells_of_and_nothing_else() -> None:
    role = made().objects[f"ClusterRole/seatrial-{OBJECTS}"]
    allowed = {
        (group, name) for rule in role["rules"] for group in rule["apiGroups"] for name in rule["resources"]
    }
    assert {name for _, name in allowed} == set(families.OF)
    for group, name in allowed:
        path, _ = families.OF[name]
        assert path.startswith(f"/apis/{group}/" if group else "/api/v1/"), name
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"list", "watch"}
    [subject] = made().objects[f"ClusterRoleBinding/seatrial-{OBJECTS}"]["subjects"]
    assert (subject["name"], subject["namespace"]) == (OBJECTS, "here")
    [option] = container(f"Deployment/{OBJECTS}")["args"]
    assert set(option.removeprefix("--resources=").split(",")) == set(families.OF)
    assert pod(f"Deployment/{OBJECTS}")["serviceAccountName"] == OBJECTS


def test_upstreams_pods_and_ours_are_scraped_in_the_same_way() -> None:
    spec = made().objects[f"PodMonitor/{OBJECTS}"]["spec"]
    [expression] = spec["selector"]["matchExpressions"]
    ours = manifest.objects("registry.example/seatrial/booking-api:1")[0]["spec"]["template"]
    upstreams = made().objects[f"Deployment/{OBJECTS}"]["spec"]["template"]
    [endpoint] = spec["podMetricsEndpoints"]
    for template in (ours, upstreams):
        assert template["metadata"]["labels"][expression["key"]] in expression["values"]
        ports = [port["name"] for each in template["spec"]["containers"] for port in each["ports"]]
        assert endpoint["port"] in ports
    assert objects.STAND_IN == manifest.NAME


def test_figures_of_objects_bear_no_label_of_the_pod_that_tells_them() -> None:
    [endpoint] = made().objects[f"PodMonitor/{OBJECTS}"]["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    [drop, *named] = endpoint["relabelings"]
    assert drop["action"] == "labeldrop"
    assert set(drop["regex"].split("|")) == {"pod", "container", "endpoint", "namespace"}
    assert {each["targetLabel"]: each["replacement"] for each in named} == {
        "job": OBJECTS,
        "instance": OBJECTS,
    }


# --- GPUs ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stack", STACKS)
def test_dcgm_runs_where_its_stack_says_so(stack: str) -> None:
    names = {(each.inputs["kind"], each.inputs["metadata"]["name"]) for each in built(stack).objects}
    assert (("DaemonSet", GPUS) in names) == (stack != "local")


def test_dcgm_runs_on_nodes_with_gpus_and_takes_none() -> None:
    spec = pod(f"DaemonSet/{GPUS}")
    assert spec["runtimeClassName"] == "nvidia"
    assert spec["nodeSelector"] == watch_gpus.NODES
    assert spec["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    assert "nvidia.com/gpu" not in str(container(f"DaemonSet/{GPUS}")["resources"])


def test_dcgm_and_what_runs_in_its_place_are_scraped_as_one_job() -> None:
    spec = made().objects[f"PodMonitor/{GPUS}"]["spec"]
    labels = made().objects[f"DaemonSet/{GPUS}"]["spec"]["template"]["metadata"]["labels"]
    assert spec["selector"]["matchLabels"].items() <= labels.items()
    [endpoint] = spec["podMetricsEndpoints"]
    assert endpoint["port"] == container(f"DaemonSet/{GPUS}")["ports"][0]["name"]
    _, monitor = watch_gpus.objects("registry.example/seatrial/booking-api:1")
    [other] = monitor["spec"]["podMetricsEndpoints"]
    jobs = [each["replacement"] for each in other["relabelings"] if each["targetLabel"] == "job"]
    assert jobs == [labels[spec["jobLabel"]]] == [GPUS]
