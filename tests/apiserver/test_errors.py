"""Errors name the object, the reason and what its pods say, and never a secret."""

import base64

import pytest

from tests.apiserver.cluster import Cluster
from tests.apiserver.manifests import DEPLOYMENT, JOB, POD, SECRET, deployment, job, meta, pod
from tests.apiserver.plugin import Plugin, Refused, secret

SERVE = {
    "type": "Ready",
    "status": "False",
    "reason": "ContainersNotReady",
    "message": "containers with unready status",
}


def container(**state: object) -> dict:
    return {
        "name": "app",
        "image": "example.org/app:1",
        "imageID": "",
        "ready": False,
        "restartCount": 0,
        **state,
    }


def failing(plugin: Plugin, cluster: Cluster, namespace: str, **status: object) -> Refused:
    """The error of a Deployment whose pod has this status until the time is over."""
    creating = plugin.meanwhile(plugin.create, DEPLOYMENT, deployment(namespace), timeout=3)
    name = cluster.first_pod(namespace, "app=web")["metadata"]["name"]
    cluster.status(f"/api/v1/namespaces/{namespace}/pods/{name}", **status)
    with pytest.raises(Refused) as refused:
        creating.result()
    assert f"{namespace}/web" in refused.value.text
    assert refused.value.state is not None
    return refused.value


def test_an_image_that_cannot_be_pulled(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "example.org/app:1"'}
    error = failing(
        plugin,
        cluster,
        namespace,
        conditions=[SERVE],
        containerStatuses=[container(state={"waiting": waiting})],
    )
    assert "ImagePullBackOff" in error.text
    assert "Back-off pulling image" in error.text


def test_a_pod_that_fits_nowhere(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu."
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    assert message in failing(plugin, cluster, namespace, conditions=[condition]).text


def test_a_container_that_crashes_again_and_again(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    ended = {"exitCode": 17, "reason": "Error", "message": "cannot open the ledger"}
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}
    state = container(state={"waiting": waiting}, lastState={"terminated": ended}, restartCount=3)
    error = failing(plugin, cluster, namespace, conditions=[SERVE], containerStatuses=[state])
    assert "CrashLoopBackOff" in error.text
    assert "17" in error.text
    assert "cannot open the ledger" in error.text


def test_an_init_container_that_fails(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    creating = plugin.meanwhile(plugin.create, POD, _with_init(pod(namespace)), timeout=3)
    cluster.first_pod(namespace, "app=single")
    ended = {"exitCode": 3, "reason": "Error", "message": "no database"}
    status = container(state={"terminated": ended}) | {"name": "prepare"}
    cluster.status(
        f"/api/v1/namespaces/{namespace}/pods/single", initContainerStatuses=[status], conditions=[SERVE]
    )
    with pytest.raises(Refused) as refused:
        creating.result()
    assert "prepare" in refused.value.text
    assert "no database" in refused.value.text


def _with_init(obj: dict) -> dict:
    obj["spec"]["initContainers"] = [{"name": "prepare", "image": "example.org/app:1"}]
    return obj


def test_a_failed_job_tells_what_its_pod_said_last(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    creating = plugin.meanwhile(plugin.create, JOB, job(namespace))
    name = cluster.first_pod(namespace, "job=once")["metadata"]["name"]
    ended = {"exitCode": 9, "reason": "Error", "message": "out of paper"}
    cluster.status(
        f"/api/v1/namespaces/{namespace}/pods/{name}",
        phase="Failed",
        containerStatuses=[container(state={"terminated": ended})],
    )
    with pytest.raises(Refused) as refused:
        creating.result()
    assert "out of paper" in refused.value.text


def test_warning_events_of_the_pods_are_told(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    creating = plugin.meanwhile(plugin.create, DEPLOYMENT, deployment(namespace), timeout=3)
    found = cluster.first_pod(namespace, "app=web")["metadata"]
    event = {
        "metadata": {"name": "mount-failed", "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": found["name"], "namespace": namespace, "uid": found["uid"]},
        "type": "Warning",
        "reason": "FailedMount",
        "message": 'secret "keys" not found',
        "lastTimestamp": "2026-01-01T00:00:00Z",
    }
    cluster.create(f"/api/v1/namespaces/{namespace}/events", event)
    with pytest.raises(Refused) as refused:
        creating.result()
    assert "FailedMount" in refused.value.text
    assert 'secret "keys" not found' in refused.value.text


def test_pods_that_may_not_be_made_are_told(plugin: Plugin, cluster: Cluster, namespace: str) -> None:
    obj = deployment(namespace)
    obj["spec"]["template"]["spec"]["serviceAccountName"] = "missing"
    with pytest.raises(Refused) as refused:
        plugin.create(DEPLOYMENT, obj, timeout=2)
    assert 'serviceaccount "missing" not found' in refused.value.text


def test_a_refused_secret_is_not_quoted(plugin: Plugin, namespace: str) -> None:
    password = "hunter2hunter2"
    obj = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/dockerconfigjson",
        "metadata": meta(namespace, "login"),
        "stringData": secret({".dockerconfigjson": password}),
    }
    with pytest.raises(Refused) as refused:
        plugin.create(SECRET, obj)
    encoded = base64.b64encode(password.encode()).decode()
    for text in (refused.value.text, plugin.logged()):
        assert password not in text
        assert encoded not in text


def test_a_secret_in_another_object_is_not_quoted_either(plugin: Plugin, namespace: str) -> None:
    obj = deployment(namespace)
    obj["spec"]["template"]["spec"]["restartPolicy"] = secret("Hunter2Hunter2")
    with pytest.raises(Refused) as refused:
        plugin.create(DEPLOYMENT, obj)
    assert "restartPolicy" in refused.value.text
    assert "Hunter2Hunter2" not in refused.value.text


def test_an_unknown_field_is_warned_of(plugin: Plugin, namespace: str) -> None:
    obj = deployment(namespace, name="typo", replicas=0)
    obj["spec"]["replcas"] = 3
    made = plugin.create(DEPLOYMENT, obj)
    assert 'unknown field "spec.replcas"' in plugin.logged(made.urn)
