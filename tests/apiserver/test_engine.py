"""The real engine drives the provider: up, preview, refresh, import and destroy as a person meets them."""

import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pulumi
import pulumi_kubernetes as k8s
import pytest
from pulumi import automation

from tests.apiserver.cluster import Cluster
from tests.apiserver.controlplane import ControlPlane
from tests.apiserver.engine import Stack

_PASSWORD = "hunter2hunter2"


@pytest.fixture
def stack(plane: ControlPlane, tmp_path: Path) -> Iterator[Stack]:
    made = Stack(tmp_path, plane.kubeconfig)
    yield made
    made.stack.destroy()


def shop(namespace: str, color: str = "blue", **more: Any) -> Callable[[], None]:
    """A program with one thing of each common sort."""

    def program() -> None:
        inside = {"namespace": namespace}
        config = k8s.core.v1.ConfigMap("config", metadata=inside, data={"color": color})
        secret = k8s.core.v1.Secret(
            "login",
            metadata={**inside, "name": "login"},
            string_data={"password": pulumi.Output.secret(_PASSWORD)},
        )
        labels = {"app": "web"}
        volume = {"name": "config", "config_map": {"name": config.metadata["name"]}}
        k8s.apps.v1.Deployment(
            "web",
            metadata={**inside, "name": "web", "labels": more.get("labels", {})},
            spec={
                "replicas": 0,
                "selector": {"match_labels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "containers": [
                            {
                                "name": "app",
                                "image": "example.org/app:1",
                                "resources": {"requests": {"cpu": "1000m", "memory": "1024Mi"}},
                            }
                        ],
                        "volumes": [volume],
                    },
                },
            },
        )
        k8s.core.v1.Service("web", metadata={**inside, "name": "web"}, spec={"ports": [{"port": 80}]})
        pulumi.export("config", config.metadata["name"])
        pulumi.export("login", secret.string_data)

    return program


def test_up_again_changes_nothing_and_destroy_leaves_nothing(
    stack: Stack, cluster: Cluster, namespace: str
) -> None:
    assert stack.up(shop(namespace))["create"] == 5
    assert stack.up(expect_no_changes=True) == {"same": 5}
    name = stack.stack.outputs()["config"].value
    assert name.startswith("config-")
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/{name}")["data"] == {"color": "blue"}
    stack.stack.destroy()
    assert cluster.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/web") is None
    assert cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/{name}") is None


def test_a_preview_plans_without_changing_anything(stack: Stack, cluster: Cluster, namespace: str) -> None:
    stack.program = shop(namespace)
    planned = stack.stack.preview().change_summary
    assert planned[automation.OpType.CREATE] == 5
    assert cluster.find(f"/apis/apps/v1/namespaces/{namespace}/deployments/web") is None


def test_a_changed_config_map_is_replaced_and_its_users_follow(
    stack: Stack, cluster: Cluster, namespace: str
) -> None:
    stack.up(shop(namespace))
    before = stack.stack.outputs()["config"].value
    changes = stack.up(shop(namespace, color="red"))
    after = stack.stack.outputs()["config"].value
    assert changes == {"replace": 1, "same": 3, "update": 1}
    assert before != after
    live = cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/web")
    assert live["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == after


def test_a_refresh_finds_drift_and_up_puts_it_right(stack: Stack, cluster: Cluster, namespace: str) -> None:
    stack.up(shop(namespace, labels={"owner": "me"}))
    stack.stack.refresh(expect_no_changes=True)
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/web"
    cluster.patch(path, {"metadata": {"labels": {"owner": "you"}}}, manager="pulumi-kubernetes")
    assert stack.stack.refresh().summary.resource_changes == {"same": 4, "update": 1}
    assert stack.up() == {"same": 4, "update": 1}
    assert cluster.get(path)["metadata"]["labels"]["owner"] == "me"


def test_a_refresh_notices_a_deleted_object_and_up_makes_it_anew(
    stack: Stack, cluster: Cluster, namespace: str
) -> None:
    stack.up(shop(namespace))
    path = f"/api/v1/namespaces/{namespace}/services/web"
    cluster.delete(path)
    assert stack.stack.refresh().summary.resource_changes == {"delete": 1, "same": 4}
    assert stack.up() == {"create": 1, "same": 4}
    assert cluster.find(path)


def test_an_existing_object_is_imported_by_the_program(
    stack: Stack, cluster: Cluster, namespace: str
) -> None:
    body = {"metadata": {"name": "old", "labels": {"a": "b"}}, "data": {"k": "v"}}
    uid = cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", body)["metadata"]["uid"]

    def program() -> None:
        k8s.core.v1.ConfigMap(
            "old",
            metadata={"name": "old", "namespace": namespace, "labels": {"a": "b"}},
            data={"k": "v"},
            opts=pulumi.ResourceOptions(import_=f"{namespace}/old"),
        )

    assert stack.up(program)["import"] == 1
    assert stack.up(expect_no_changes=True) == {"same": 2}
    assert cluster.get(f"/api/v1/namespaces/{namespace}/configmaps/old")["metadata"]["uid"] == uid


def test_an_existing_object_is_imported_by_the_command(
    stack: Stack, cluster: Cluster, namespace: str
) -> None:
    body = {"metadata": {"name": "old"}, "data": {"k": "v"}}
    cluster.create(f"/api/v1/namespaces/{namespace}/configmaps", body)
    resource = {
        "type": "kubernetes:core/v1:ConfigMap",
        "name": "old",
        "id": f"{namespace}/old",
        "version": "4.34.2",
    }
    stack.stack.import_resources(resources=[resource], protect=False, generate_code=False)

    def program() -> None:
        k8s.core.v1.ConfigMap("old", metadata={"name": "old", "namespace": namespace}, data={"k": "v"})

    assert stack.up(program, expect_no_changes=True) == {"same": 2}


def test_no_secret_is_readable_in_the_state_or_the_output(stack: Stack, namespace: str) -> None:
    lines: list[str] = []
    stack.up(shop(namespace), on_output=lines.append)
    assert _PASSWORD not in stack.kept()
    assert _PASSWORD not in "\n".join(lines)
    assert stack.stack.outputs()["login"].secret


def test_an_object_that_does_not_become_ready_is_kept_and_updated_next_time(
    stack: Stack, cluster: Cluster, namespace: str
) -> None:
    def program(seconds: str) -> Callable[[], None]:
        def run() -> None:
            annotations = {
                "pulumi.com/waitFor": "jsonpath={.data.done}",
                "pulumi.com/timeoutSeconds": seconds,
            }
            k8s.core.v1.ConfigMap(
                "slow", metadata={"name": "slow", "namespace": namespace, "annotations": annotations}, data={}
            )

        return run

    with pytest.raises(automation.CommandError, match="slow"):
        stack.up(program("1"))
    path = f"/api/v1/namespaces/{namespace}/configmaps/slow"
    cluster.patch(path, {"data": {"done": "yes"}})
    assert stack.up(program("1")) == {"same": 1, "update": 1}


def test_a_cancelled_update_ends_soon_and_without_a_traceback(
    stack: Stack, cluster: Cluster, namespace: str
) -> None:
    def program() -> None:
        annotations = {"pulumi.com/waitFor": "jsonpath={.data.done}"}
        k8s.core.v1.ConfigMap(
            "slow", metadata={"name": "slow", "namespace": namespace, "annotations": annotations}, data={}
        )

    lines: list[str] = []
    failures: list[str] = []

    def run() -> None:
        try:
            stack.up(program, on_output=lines.append)
        except automation.CommandError as error:
            failures.append(str(error))

    running = threading.Thread(target=run)
    running.start()
    cluster.eventually("the object", lambda: cluster.find(f"/api/v1/namespaces/{namespace}/configmaps/slow"))
    _interrupt_engine()
    running.join(60)
    assert failures
    assert "Traceback" not in "\n".join([*lines, *failures])


def _interrupt_engine() -> None:
    """Ctrl-C for the `pulumi up` that this test has started."""
    for child in psutil.Process().children():
        if "up" in child.cmdline() and child.name() == "pulumi":
            child.send_signal(signal.SIGINT)
            return
    raise AssertionError("there is no `pulumi up` to interrupt")
