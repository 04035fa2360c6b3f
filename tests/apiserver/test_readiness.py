"""When each kind counts as made. The test plays the kubelet: it writes the status that a node would."""

import secrets
from collections.abc import Iterator

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.manifests import (
    CONFIG_MAP,
    DEPLOYMENT,
    JOB,
    POD,
    SECRET,
    SERVICE,
    config_map,
    deployment,
    job,
    meta,
    pod,
    pod_template,
    service,
)
from tests.apiserver.plugin import Meanwhile, Plugin, Refused, revealed

CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"
INGRESS = "kubernetes:networking.k8s.io/v1:Ingress"


@pytest.fixture
def node(cluster: Cluster) -> Iterator[str]:
    name = f"node-{secrets.token_hex(3)}"
    cluster.add_node(name, **{"for": name})
    yield name
    cluster.delete(f"/api/v1/nodes/{name}")


def start_create(plugin: Plugin, token: str, obj: dict, timeout: float = 60) -> Meanwhile:
    return plugin.meanwhile(plugin.create, token, obj, timeout=timeout)


def test_a_deployment_is_ready_when_its_pods_are(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    creating = start_create(plugin, DEPLOYMENT, deployment(namespace))
    name = cluster.first_pod(namespace, "app=web")["metadata"]["name"]
    assert not creating.done
    cluster.run_pod(namespace, name)
    assert creating.result().state["status"]["availableReplicas"] == 1


def test_a_changed_deployment_is_ready_when_its_new_pods_are(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = deployment(namespace)
    creating = start_create(plugin, DEPLOYMENT, obj)
    first = cluster.first_pod(namespace, "app=web")["metadata"]["name"]
    cluster.run_pod(namespace, first)
    made = creating.result()
    obj["spec"]["template"]["spec"]["containers"][0]["image"] = "example.org/app:2"
    updating = plugin.meanwhile(plugin.update, made, obj)

    def new_pod() -> str | None:
        names = [entry["metadata"]["name"] for entry in cluster.pods(namespace, "app=web")]
        return next((name for name in names if name != first), None)

    second = cluster.eventually("a pod of the new form", new_pod)
    assert not updating.done
    cluster.run_pod(namespace, second, "10.98.0.2")
    # Nobody ends the old pod where there is no kubelet.
    cluster.eventually("the old pod's deletion", lambda: _ends(cluster, namespace, first))
    cluster.delete(f"/api/v1/namespaces/{namespace}/pods/{first}", gracePeriodSeconds="0")
    assert updating.result().state["status"]["updatedReplicas"] == 1


def _ends(cluster: Cluster, namespace: str, name: str) -> bool:
    found = cluster.find(f"/api/v1/namespaces/{namespace}/pods/{name}")
    return found is None or "deletionTimestamp" in found["metadata"]


def test_a_deployment_without_replicas_is_ready(plugin: Plugin, namespace: str) -> None:
    assert plugin.create(DEPLOYMENT, deployment(namespace, replicas=0)).id


def test_a_stateful_set_is_ready_when_its_pods_are(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    labels = {"app": "db"}
    obj = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": meta(namespace, "db"),
        "spec": {"serviceName": "db", "selector": {"matchLabels": labels}, "template": pod_template(labels)},
    }
    creating = start_create(plugin, "kubernetes:apps/v1:StatefulSet", obj)
    name = cluster.first_pod(namespace, "app=db")["metadata"]["name"]
    assert not creating.done
    cluster.run_pod(namespace, name)
    assert creating.result().state["status"]["readyReplicas"] == 1


def test_a_daemon_set_is_ready_when_each_node_runs_it(
    plugin: Plugin, cluster: Cluster, namespace: str, node: str
) -> None:
    labels = {"app": "agent"}
    template = pod_template(labels)
    template["spec"]["nodeSelector"] = {"for": node}
    obj = {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": meta(namespace, "agent"),
        "spec": {"selector": {"matchLabels": labels}, "template": template},
    }
    creating = start_create(plugin, "kubernetes:apps/v1:DaemonSet", obj)
    name = cluster.first_pod(namespace, "app=agent")["metadata"]["name"]
    assert not creating.done
    cluster.bind(namespace, name, node)
    cluster.run_pod(namespace, name)
    assert creating.result().state["status"]["numberAvailable"] == 1


def test_a_replication_controller_is_ready_when_its_pods_are(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": meta(namespace, "old"),
        "spec": {"replicas": 1, "selector": {"app": "old"}, "template": pod_template({"app": "old"})},
    }
    creating = start_create(plugin, "kubernetes:core/v1:ReplicationController", obj)
    name = cluster.first_pod(namespace, "app=old")["metadata"]["name"]
    assert not creating.done
    cluster.run_pod(namespace, name)
    assert creating.result().state["status"]["availableReplicas"] == 1


def test_a_job_is_ready_when_it_has_completed(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    creating = start_create(plugin, JOB, job(namespace))
    name = cluster.first_pod(namespace, "job=once")["metadata"]["name"]
    assert not creating.done
    cluster.status(f"/api/v1/namespaces/{namespace}/pods/{name}", phase="Succeeded")
    assert creating.result().state["status"]["succeeded"] == 1


def test_a_failed_job_is_an_error_at_once_and_stays_in_the_state(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    creating = start_create(plugin, JOB, job(namespace), timeout=600)
    name = cluster.first_pod(namespace, "job=once")["metadata"]["name"]
    cluster.status(f"/api/v1/namespaces/{namespace}/pods/{name}", phase="Failed")
    with pytest.raises(Refused, match="once") as refused:
        creating.result()
    assert "BackoffLimitExceeded" in refused.value.text
    assert refused.value.state is not None
    assert refused.value.id == f"{namespace}/once"


def test_an_unready_job_is_replaced_where_that_is_asked_for(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    obj = job(namespace, replaceUnready="true", skipAwait="true")
    made = plugin.create(JOB, obj)
    assert plugin.diff(made, obj).replaces
    name = cluster.first_pod(namespace, "job=once")["metadata"]["name"]
    cluster.status(f"/api/v1/namespaces/{namespace}/pods/{name}", phase="Succeeded")
    path = f"/apis/batch/v1/namespaces/{namespace}/jobs/once"
    cluster.eventually("the Job's end", lambda: cluster.get(path)["status"].get("completionTime"))
    assert not plugin.diff(made, obj).replaces


def test_a_pod_is_ready_when_it_serves(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    creating = start_create(plugin, POD, pod(namespace))
    cluster.first_pod(namespace, "app=single")
    assert not creating.done
    cluster.run_pod(namespace, "single")
    assert creating.result().state["status"]["phase"] == "Running"


def test_a_pod_that_has_succeeded_is_ready(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    creating = start_create(plugin, POD, pod(namespace))
    cluster.first_pod(namespace, "app=single")
    conditions = [{"type": kind, "status": "True"} for kind in ("PodScheduled", "Initialized")]
    conditions.append({"type": "Ready", "status": "False", "reason": "PodCompleted"})
    cluster.status(f"/api/v1/namespaces/{namespace}/pods/single", phase="Succeeded", conditions=conditions)
    assert creating.result().state["status"]["phase"] == "Succeeded"


def volume(name: str, storage_class: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "hostPath": {"path": "/nowhere"},
            "storageClassName": storage_class,
        },
    }


def claim(namespace: str, storage_class: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": meta(namespace, "store"),
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": storage_class,
            "resources": {"requests": {"storage": "1Gi"}},
        },
    }


def storage_class(cluster: Cluster, mode: str) -> str:
    name = f"class-{secrets.token_hex(3)}"
    body = {"metadata": {"name": name}, "provisioner": "example.org/none", "volumeBindingMode": mode}
    cluster.create("/apis/storage.k8s.io/v1/storageclasses", body)
    return name


def test_a_volume_is_ready_when_it_is_available(plugin: Plugin) -> None:
    name = f"volume-{secrets.token_hex(3)}"
    made = plugin.create("kubernetes:core/v1:PersistentVolume", volume(name, "none"))
    assert made.state["status"]["phase"] == "Available"


def test_a_claim_is_ready_when_it_is_bound(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    name = storage_class(cluster, "Immediate")
    creating = start_create(plugin, CLAIM, claim(namespace, name))
    path = f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/store"
    cluster.eventually(
        "the pending claim", lambda: (cluster.find(path) or {}).get("status", {}).get("phase") == "Pending"
    )
    assert not creating.done
    cluster.create("/api/v1/persistentvolumes", volume(f"volume-{secrets.token_hex(3)}", name))
    assert creating.result().state["status"]["phase"] == "Bound"


def test_a_claim_that_waits_for_its_first_consumer_is_ready(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    made = plugin.create(CLAIM, claim(namespace, storage_class(cluster, "WaitForFirstConsumer")))
    assert made.state["status"]["phase"] == "Pending"


def test_a_service_is_ready_when_its_pods_are(
    plugin: Plugin, cluster: Cluster, namespace: str, node: str
) -> None:
    cluster.create(f"/api/v1/namespaces/{namespace}/pods", pod(namespace))
    cluster.bind(namespace, "single", node)
    address = {"podIP": "10.98.0.1", "podIPs": [{"ip": "10.98.0.1"}]}
    cluster.status(f"/api/v1/namespaces/{namespace}/pods/single", phase="Running", **address)
    creating = start_create(plugin, SERVICE, service(namespace, selector={"app": "single"}))
    path = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    def endpoints() -> list:
        return [endpoint for entry in cluster.get(path)["items"] for endpoint in entry["endpoints"] or []]

    cluster.eventually("the unready endpoint", endpoints)
    assert not creating.done
    cluster.run_pod(namespace, "single")
    assert creating.result().state["spec"]["clusterIP"]


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "selector": {"app": "nobody"}},
        {"type": "ExternalName", "externalName": "example.org", "ports": None},
        {},
    ],
    ids=["headless", "external-name", "without-selector"],
)
def test_a_service_that_reaches_no_pods_by_its_nature_is_ready(
    plugin: Plugin, namespace: str, spec: dict
) -> None:
    assert plugin.create(SERVICE, service(namespace, **spec), timeout=5).id


def test_a_load_balancer_is_ready_when_it_has_an_address(
    plugin: Plugin, cluster: Cluster, namespace: str
) -> None:
    creating = start_create(plugin, SERVICE, service(namespace, type="LoadBalancer"))
    path = f"/api/v1/namespaces/{namespace}/services/front"
    cluster.eventually("the Service", lambda: cluster.find(path))
    assert not creating.done
    cluster.status(path, loadBalancer={"ingress": [{"ip": "192.0.2.1"}]})
    assert creating.result().state["status"]["loadBalancer"]["ingress"][0]["ip"] == "192.0.2.1"


def test_an_ingress_is_ready_when_it_has_an_address(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    external = service(namespace, type="ExternalName", externalName="example.org", ports=None)
    cluster.create(f"/api/v1/namespaces/{namespace}/services", external)
    backend = {"service": {"name": "front", "port": {"number": 80}}}
    rule = {"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    obj = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": meta(namespace, "gate"),
        "spec": {"rules": [rule]},
    }
    creating = start_create(plugin, INGRESS, obj)
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/gate"
    cluster.eventually("the Ingress", lambda: cluster.find(path))
    assert not creating.done
    cluster.status(path, loadBalancer={"ingress": [{"ip": "192.0.2.1"}]})
    assert creating.result().id


def test_a_quota_is_ready_when_it_is_counted(plugin: Plugin, namespace: str) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": meta(namespace, "limit"),
        "spec": {"hard": {"pods": "3", "requests.cpu": "2000m"}},
    }
    made = plugin.create("kubernetes:core/v1:ResourceQuota", obj)
    assert made.state["status"]["hard"]["pods"] == "3"


def test_a_token_secret_is_ready_when_it_holds_its_token(plugin: Plugin, namespace: str) -> None:
    obj = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/service-account-token",
        "metadata": {
            **meta(namespace, "token"),
            "annotations": {"kubernetes.io/service-account.name": "default"},
        },
    }
    assert revealed(plugin.create(SECRET, obj).state)["data"]["token"]


def test_a_service_account_is_ready_at_once(plugin: Plugin, namespace: str) -> None:
    obj = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta(namespace, "robot")}
    assert plugin.create("kubernetes:core/v1:ServiceAccount", obj).id


def test_skip_await_waits_for_nothing(plugin: Plugin, namespace: str) -> None:
    assert plugin.create(DEPLOYMENT, deployment(namespace, skipAwait="true"), timeout=5).id


@pytest.mark.parametrize(
    "wait_for",
    [
        "jsonpath={.data.state}=done",
        "jsonpath={.data['state']}=done",
        "jsonpath={.data.extra}",
        '["jsonpath={.data.state}=done", "jsonpath={.data.extra}"]',
    ],
)
def test_wait_for_a_value(plugin: Plugin, cluster: Cluster, namespace: str, wait_for: str) -> None:
    obj = config_map(namespace, state="begun")
    obj["metadata"] = meta(namespace, "settings", waitFor=wait_for)
    creating = start_create(plugin, CONFIG_MAP, obj)
    path = f"/api/v1/namespaces/{namespace}/configmaps/settings"
    cluster.eventually("the ConfigMap", lambda: cluster.find(path))
    cluster.patch(path, {"metadata": {"labels": {"not": "yet"}}})
    assert not creating.done
    cluster.patch(path, {"data": {"state": "done", "extra": "1"}})
    assert creating.result().state["data"]["extra"] == "1"


@pytest.mark.parametrize("wait_for", ["condition=Blessed", "condition=Blessed=True"])
def test_wait_for_a_condition_instead_of_what_the_kind_promises(
    plugin: Plugin, cluster: Cluster, namespace: str, wait_for: str
) -> None:
    creating = start_create(plugin, POD, pod(namespace, waitFor=wait_for))
    cluster.first_pod(namespace, "app=single")
    path = f"/api/v1/namespaces/{namespace}/pods/single"
    cluster.status(path, conditions=[{"type": "Blessed", "status": "False"}])
    assert not creating.done
    cluster.status(path, conditions=[{"type": "Blessed", "status": "True"}])
    assert creating.result().id


def test_a_wait_that_nobody_can_understand_is_an_error(plugin: Plugin, namespace: str) -> None:
    obj = config_map(namespace)
    obj["metadata"] = meta(namespace, "settings", waitFor="tomorrow")
    with pytest.raises(Refused, match=r"condition=.*"):
        plugin.create(CONFIG_MAP, obj)


def test_the_annotation_sets_the_time_limit_and_the_option_comes_first(
    plugin: Plugin, namespace: str
) -> None:
    with pytest.raises(Refused) as refused:
        plugin.create(POD, pod(namespace, "short", timeoutSeconds="1"), timeout=0)
    assert refused.value.state is not None
    with pytest.raises(Refused):
        plugin.create(POD, pod(namespace, "shorter", timeoutSeconds="600"), timeout=1)
