"""What a running cluster promises to those who use it."""

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from local.cluster import NODES, Cluster
from tests.cluster.kubectl import Kubectl, pod, service

# Listens, and says what it was told to.
ANSWER = "mkdir /tmp/w; echo {word} > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"


def test_every_node_is_ready_with_its_pool(cluster: Cluster, kubectl: Kubectl) -> None:
    nodes = {n["metadata"]["name"]: n for n in kubectl.json("get", "nodes")["items"]}
    assert set(nodes) == {node.name for node in NODES}
    for name, node in nodes.items():
        ready = next(c for c in node["status"]["conditions"] if c["type"] == "Ready")
        assert ready["status"] == "True"
        assert node["metadata"]["labels"]["seatrial.dev/pool"] == name
    assert nodes["gpu"]["metadata"]["labels"]["nvidia.com/gpu.present"] == "true"
    assert {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"} in nodes["gpu"]["spec"][
        "taints"
    ]
    assert cluster.status().problems == []


def test_nodes_do_not_promise_the_same_memory_twice(cluster: Cluster) -> None:
    meminfo = Path("/proc/meminfo").read_text().splitlines()
    total = next(int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemTotal:"))
    promised = sum(int(n.allocatable["memory"].removesuffix("Ki")) for n in cluster.status().nodes)
    assert 0 < promised < total


def test_a_second_up_changes_nothing(cluster: Cluster, tools: Mapping[str, Path], kubectl: Kubectl) -> None:
    before = {c.name: c.pid for c in cluster.status().components}
    versions = kubectl("get", "deployments,services", "-A", "-o", "jsonpath={.items[*].metadata.generation}")
    cluster.up(tools, tied_to=os.getpid())
    assert {c.name: c.pid for c in cluster.status().components} == before
    assert None not in before.values()
    after = kubectl("get", "deployments,services", "-A", "-o", "jsonpath={.items[*].metadata.generation}")
    assert after == versions


def test_pods_on_different_nodes_meet_by_name(kubectl: Kubectl) -> None:
    kubectl.apply(pod("web", ANSWER.format(word="hello")), service("web", 8080))
    kubectl.wait("pod/web", "condition=Ready")
    for node in ("work", "gpu"):
        said = kubectl.run_to_end(pod(f"ask-{node}", "nslookup web.$NS.svc.cluster.local && "
                                      "until wget -qO- http://web:8080; do sleep 0.2; done",
                                      node, container=_with_namespace()))  # fmt: skip
        assert said.rstrip().endswith("hello")


def _with_namespace() -> dict[str, object]:
    source = {"fieldRef": {"fieldPath": "metadata.namespace"}}
    return {"env": [{"name": "NS", "valueFrom": source}]}


def test_a_claim_gets_a_volume_that_outlives_its_pod(kubectl: Kubectl) -> None:
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "data"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
    }
    volume = {
        "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data"}}],
        "container": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
    }
    kubectl.apply(claim)
    kubectl.run_to_end(pod("write", "echo kept > /data/file", **volume))
    kubectl("delete", "pod", "write")
    volume["container"] = {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}
    assert kubectl.run_to_end(pod("read", "cat /data/file", **volume)) == "kept\n"


def test_a_pod_that_asks_for_a_gpu_gets_one(kubectl: Kubectl) -> None:
    gpu = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
    said = kubectl.run_to_end(pod("gpu", "echo $NVIDIA_VISIBLE_DEVICES", "gpu", container=gpu))
    assert said.startswith("simulated-")
    too_many = {"resources": {"limits": {"nvidia.com/gpu": "3"}}}
    kubectl.apply(pod("greedy", "true", "gpu", container=too_many))
    kubectl.wait("pod/greedy", "condition=PodScheduled=False")


@pytest.mark.parametrize("target", ["1.1.1.1 80", "{host} 22"])
def test_a_call_to_the_outside_fails_at_once_and_is_counted(
    cluster: Cluster, kubectl: Kubectl, target: str
) -> None:
    api = cluster.status().api
    assert api is not None
    address = target.format(host=api.removeprefix("https://").rsplit(".", 1)[0] + ".254")
    before = _outbound(cluster)
    # A refusal comes within the second that a lost packet would take; -w ends what is not refused.
    said = kubectl.run_to_end(pod("out", f"nc -w 20 {address} </dev/null 2>&1; echo ended with $?"))
    assert "refused" in said
    assert "ended with 1" in said
    assert _outbound(cluster) > before


def _outbound(cluster: Cluster) -> int:
    counted = {n.name: n.outbound_packets for n in cluster.status().nodes}
    assert counted["work"] is not None
    return counted["work"]


def test_an_unknown_name_is_refused_at_once(kubectl: Kubectl) -> None:
    said = kubectl.run_to_end(pod("ask", "nslookup registry.example.com. 2>&1; true"))
    assert "NXDOMAIN" in said


def test_a_secret_is_not_in_clear_in_the_store(cluster: Cluster, kubectl: Kubectl) -> None:
    for kind in ("Secret", "ConfigMap"):
        field = "stringData" if kind == "Secret" else "data"
        marker = {field: {"word": f"marker-{kind}-{kubectl.space}"}}
        kubectl.apply({"apiVersion": "v1", "kind": kind, "metadata": {"name": "marked"}, **marker})
    stored = b"".join(p.read_bytes() for p in (cluster.state / "etcd").rglob("*") if p.is_file())
    assert f"marker-ConfigMap-{kubectl.space}".encode() in stored, "looked in the wrong place"
    assert f"marker-Secret-{kubectl.space}".encode() not in stored


def test_the_administrator_is_no_master_of_the_system(cluster: Cluster, kubectl: Kubectl) -> None:
    user = kubectl.json("auth", "whoami")["status"]["userInfo"]
    assert user["username"] == "seatrial-admin"
    assert "seatrial:admins" in user["groups"]
    for file in (cluster.state / "pki").rglob("*.crt"):
        subject = x509.load_pem_x509_certificate(file.read_bytes()).subject
        groups = [a.value for a in subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)]
        assert "system:masters" not in groups, file


def test_keys_are_for_root_alone(cluster: Cluster) -> None:
    assert stat.S_IMODE(cluster.state.stat().st_mode) == 0o700
    files = [cluster.kubeconfig, *(p for p in (cluster.state / "pki").rglob("*") if p.is_file())]
    assert len(files) > 30
    assert {stat.S_IMODE(f.stat().st_mode) for f in files} == {0o600}


def test_each_authority_vouches_for_its_own(cluster: Cluster) -> None:
    pki = cluster.state / "pki"
    issuers = {
        name: x509.load_pem_x509_certificate((pki / f"{name}.crt").read_bytes()).issuer.rfc4514_string()
        for name in ("apiserver", "front-proxy", "etcd", "etcd-client", "admin")
    }
    assert issuers == {
        "apiserver": "CN=seatrial-ca",
        "admin": "CN=seatrial-ca",
        "front-proxy": "CN=seatrial-front-proxy-ca",
        "etcd": "CN=seatrial-etcd-ca",
        "etcd-client": "CN=seatrial-etcd-ca",
    }


def test_usage_is_measured_over_verified_connections(kubectl: Kubectl) -> None:
    kubectl.wait("apiservice/v1beta1.metrics.k8s.io", "condition=Available", 90)
    service = kubectl.json("get", "apiservice/v1beta1.metrics.k8s.io")["spec"]
    assert service["caBundle"]
    assert "insecureSkipTLSVerify" not in service
    usage = json.loads(kubectl("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"))
    assert {n["metadata"]["name"] for n in usage["items"]} <= {node.name for node in NODES}


def test_kubelets_log_where_only_they_write(cluster: Cluster, kubectl: Kubectl) -> None:
    assert kubectl.run_to_end(pod("speak", "echo once", "gpu")) == "once\n"
    logs = list((cluster.state / "nodes").glob(f"*/log/pods/{kubectl.space}_speak_*"))
    assert [p.parts[-4] for p in logs] == ["gpu"]
    assert not Path("/var/log/pods").exists()


def test_the_log_of_a_part_can_be_read(cluster: Cluster) -> None:
    assert any("containerd successfully booted" in line for line in cluster.logs("containerd-work"))
