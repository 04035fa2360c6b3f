"""The cluster and what the program put on it."""

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from kubernetes import client as k8s

import client
from client import Platform, outputs
from client.objects import request
from client.waiting import until
from proofs import probe
from proofs.run import Check, proof
from workloads import pods

NAMESPACES = (
    outputs.NAMESPACE_DATA, outputs.NAMESPACE_ML, outputs.NAMESPACE_MONITORING, outputs.NAMESPACE_TRAINING,
    outputs.NAMESPACE_SERVING,
)  # fmt: skip
"""Those that are there: a namespace that was not chosen is an empty one."""
GPU = "nvidia.com/gpu"
LAKE = "SELECT count(*) FROM iceberg.information_schema.tables"
SURVIVAL_TABLE = "proof_survival"
POOLED = 6
"""More queries than Trino keeps connections to the database of its catalog."""


@proof("platform")
def nodes_are_ready(platform: Platform, check: Check) -> None:
    """Every node is Ready and presses nothing."""
    nodes = platform.core.list_node().items
    check(len(nodes) >= 2, "there are at least two nodes", nodes=len(nodes))
    for node in nodes:
        state = {entry.type: entry.status for entry in node.status.conditions}
        check(state.get("Ready") == "True", f"node {node.metadata.name} is Ready", conditions=state)
        pressed = [kind for kind, status in state.items() if kind != "Ready" and status == "True"]
        check(not pressed, f"node {node.metadata.name} is under no pressure", pressed=pressed)


@proof("platform")
def everything_is_running(platform: Platform, check: Check) -> None:
    """Every Deployment, StatefulSet and DaemonSet has all its pods ready."""
    apps = k8s.AppsV1Api(platform.api)
    for namespace in (*NAMESPACES, "kube-system"):
        for item in apps.list_namespaced_deployment(namespace).items:
            tell_ready(check, "Deployment", item, item.status.ready_replicas, item.spec.replicas)
        for item in apps.list_namespaced_stateful_set(namespace).items:
            tell_ready(check, "StatefulSet", item, item.status.ready_replicas, item.spec.replicas)
        for item in apps.list_namespaced_daemon_set(namespace).items:
            wanted = item.status.desired_number_scheduled
            tell_ready(check, "DaemonSet", item, item.status.number_ready, wanted)
    for namespace in NAMESPACES:
        for pod in platform.core.list_namespaced_pod(namespace).items:
            fine = pod.status.phase in ("Running", "Succeeded")
            check(fine, f"pod {pod.metadata.name} runs", phase=pod.status.phase)


def tell_ready(check: Check, kind: str, item: Any, ready: int | None, wanted: int | None) -> None:
    name = f"{kind} {item.metadata.namespace}/{item.metadata.name}"
    check((ready or 0) == (wanted or 0), f"{name} is ready", ready=ready or 0, wanted=wanted or 0)


@proof("platform")
def pods_find_each_other_and_no_one_else(platform: Platform, check: Check) -> None:
    """A pod resolves and reaches every part of the platform, and nothing outside."""
    urls = {name: value for name, value in platform.access.items() if "://" in value}
    urls["PGHOST"] = f"postgresql://{platform.access['PGHOST']}:{platform.access.get('PGPORT', '5432')}"
    seen = probe.run(platform, "probe-network", NETWORK.replace("TARGETS", repr(sorted(addresses(urls)))))
    for name, port in sorted(addresses(urls)):
        answer = seen["inside"][f"{name}:{port}"]
        check(answer == "connected", f"a pod reaches {name}:{port}", answer=answer)
    check(
        seen["unknown"] != "connected", "a name that does not exist is not resolved", answer=seen["unknown"]
    )
    if platform.name == "local":
        for place, answer in seen["outside"].items():
            check(answer != "connected", f"a pod cannot reach {place}", answer=answer)
        check(
            seen["outside_seconds"] < 10, "an attempt to leave fails at once", seconds=seen["outside_seconds"]
        )


def addresses(urls: dict[str, str]) -> set[tuple[str, int]]:
    ports = {"https": 443, "http": 80}
    parsed = [urlsplit(value) for value in urls.values()]
    return {(url.hostname or "", url.port or ports.get(url.scheme, 0)) for url in parsed}


NETWORK = """
import json, socket, time
def attempt(host, port):
    try:
        socket.create_connection((host, port), timeout=5).close()
        return "connected"
    except OSError as error:
        return f"{type(error).__name__}: {error}"
inside = {f"{host}:{port}": attempt(host, port) for host, port in TARGETS}
unknown = attempt("no-such-service.default.svc.cluster.local", 80)
began = time.monotonic()
outside = {f"{host}:{port}": attempt(host, port) for host, port in [("192.0.2.1", 443), ("example.com", 443)]}
print(json.dumps({"inside": inside, "unknown": unknown, "outside": outside,
                  "outside_seconds": round(time.monotonic() - began, 2)}))
"""


@proof("platform")
def a_volume_outlives_its_pod(platform: Platform, check: Check) -> None:
    """What one pod writes on a volume of the default class, another pod reads."""
    name, word = "probe-storage", f"kept since {time.time()}"
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": outputs.NAMESPACE_WORKLOADS},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "16Mi"}}},
    }
    image = probe.workload_image(platform)
    write = f"open('/data/word', 'w').write({word!r}); print('{{\"wrote\": true}}')"
    read = "import json; print(json.dumps({'word': open('/data/word').read()}))"
    try:
        client.deploy(platform, name, [claim, probe.job(image, name, write, volume=name)], deadline=120)
        found = client.deploy(platform, name, [probe.job(image, name, read, volume=name)], deadline=120)
        said = next(iter(found[name].messages.values()))
        check.equal(said.get("word"), word, "a second pod reads what the first one wrote")
    finally:
        client.delete_workloads(platform, name)


@proof("platform")
def gpus_are_handed_out(platform: Platform, check: Check) -> None:
    """A pod that asks for a GPU gets one where the GPUs are, and nobody gets more than there are."""
    nodes = [node for node in platform.core.list_node().items if int(node.status.allocatable.get(GPU, 0))]
    offered = [int(node.status.allocatable[GPU]) for node in nodes]
    if platform.name == "local":
        check.equal(sum(offered), 2, "the simulated pool has two GPUs")
    if not nodes:
        check.skip("no node of this cluster has GPUs")
    names = [node.metadata.name for node in nodes]
    image = idle_image(nodes[0]) or probe.workload_image(platform)
    wanted = {"probe-gpu": 1, "probe-gpu-greedy": max(offered) + 1}
    try:
        asking = [gpu_pod(name, image, count) for name, count in wanted.items()]
        client.deploy(platform, "probe-gpu", asking, wait=False)
        running = settled(platform, "probe-gpu")
        check.equal(running.status.phase, "Running", "a pod that asks for a GPU runs")
        check(running.spec.node_name in names, "it runs where the GPUs are", node=running.spec.node_name)
        greedy = settled(platform, "probe-gpu-greedy")
        reason = next((entry.message for entry in greedy.status.conditions if entry.status == "False"), "")
        check(f"Insufficient {GPU}" in (reason or ""), "more GPUs than a node has are refused", said=reason)
    finally:
        client.delete_workloads(platform, "probe-gpu")


def idle_image(node: Any) -> str | None:
    """An image that does nothing and is on the node already: that of the pods' sandboxes."""
    names = [name for image in node.status.images or [] for name in image.names or []]
    return next((name for name in names if "/pause:" in name), None)


def gpu_pod(name: str, image: str, count: int) -> dict[str, Any]:
    """A pod that asks for GPUs and does nothing."""
    main = pods.container(image, "-", [], cpu="10m", memory="16Mi", memory_limit="32Mi")
    for key in ("command", "env", "envFrom"):
        main.pop(key)
    main["resources"]["limits"][GPU] = str(count)
    tolerated = [{"key": GPU, "operator": "Exists"}]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": outputs.NAMESPACE_WORKLOADS},
        "spec": pods.pod(name, main, tolerations=tolerated)["spec"],
    }


def settled(platform: Platform, name: str, patience: float = 90) -> Any:
    """The pod once it runs, or once the scheduler has said that it cannot."""
    deadline = time.monotonic() + patience
    while True:
        pod = platform.core.read_namespaced_pod(name, outputs.NAMESPACE_WORKLOADS)
        reasons = [entry.reason for entry in pod.status.conditions or [] if entry.status == "False"]
        if pod.status.phase == "Running" or "Unschedulable" in reasons or time.monotonic() > deadline:
            return pod
        time.sleep(0.3)


@proof("platform")
def secrets_are_encrypted_at_rest(platform: Platform, check: Check) -> None:
    """The API server writes Secrets to etcd through a cipher, and none in the clear."""
    if platform.name != "local":
        check.skip("the API server's counters are not shown to users of a managed cluster")
    name = f"probe-secret-{int(time.time())}"
    before = transformations(platform)
    secret = {"metadata": {"name": name}, "stringData": {"word": "for nobody's eyes"}}
    platform.core.create_namespaced_secret(outputs.NAMESPACE_WORKLOADS, secret)
    platform.core.delete_namespaced_secret(name, outputs.NAMESPACE_WORKLOADS)
    after = transformations(platform)
    written = {prefix: after[prefix] - before.get(prefix, 0) for prefix in after}
    enciphered = [prefix for prefix, count in written.items() if "k8s:enc:" in prefix and count > 0]
    clear = {prefix: count for prefix, count in after.items() if "identity" in prefix and count > 0}
    check(bool(enciphered), "a new Secret is written through a cipher", written=written)
    check(not clear, "no Secret was ever written in the clear", counters=after)


def transformations(platform: Platform) -> dict[str, float]:
    """How many Secrets were written to etcd, by the prefix of the cipher."""
    text = request(platform.api, "GET", "/metrics", accept="text/plain")
    counts: dict[str, float] = {}
    for line in text.splitlines():
        if not line.startswith("apiserver_storage_transformation_operations_total{"):
            continue
        labels, value = line[line.index("{") : line.index("}")], line.rsplit(" ", 1)[1]
        if 'resource="secrets"' in labels and 'transformation_type="to_storage"' in labels:
            prefix = labels.split('transformer_prefix="')[1].split('"')[0]
            counts[prefix] = counts.get(prefix, 0) + float(value)
    return counts


@proof("platform")
def everything_is_watched(platform: Platform, check: Check) -> None:
    """Prometheus reaches every target, and each of our ServiceMonitors and PodMonitors has one."""
    pools = [*monitored(platform, "serviceMonitor"), *monitored(platform, "podMonitor")]
    check(bool(pools), "the platform's parts bring monitors")
    deadline = time.monotonic() + 75  # A target that has just restarted is scraped again within a minute.
    while True:
        targets = platform.prometheus("targets", state="active")["activeTargets"]
        down = [target for target in targets if target["health"] != "up"]
        bare = [pool for pool in pools if not any(t["scrapePool"].startswith(pool) for t in targets)]
        if (not down and not bare) or time.monotonic() > deadline:
            break
        time.sleep(2)
    for target in targets:
        check(
            target["health"] == "up", f"Prometheus reaches {target['scrapeUrl']}", error=target["lastError"]
        )
    for pool in pools:
        check(pool not in bare, f"{pool} has a target")


def monitored(platform: Platform, kind: str) -> list[str]:
    """What Prometheus calls the targets of each monitor of a kind that the platform's parts bring."""
    found = k8s.CustomObjectsApi(platform.api).list_cluster_custom_object(
        "monitoring.coreos.com",
        "v1",
        f"{kind.lower()}s",
        label_selector="app.kubernetes.io/part-of=seatrial",
    )["items"]
    places = [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found]
    # What is watched among the workloads comes and goes with them.
    return [f"{kind}/{space}/{name}/" for space, name in places if space != outputs.NAMESPACE_WORKLOADS]


@proof("platform")
def alerts_are_loaded(platform: Platform, check: Check) -> None:
    """Every rule that the parts bring is loaded and can be evaluated."""
    groups = platform.prometheus("rules")["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    check(bool(rules), "Prometheus has rules")
    for rule in rules:
        check(rule["health"] != "err", f"rule {rule['name']} can be evaluated", error=rule.get("lastError"))


@proof("platform")
def a_killed_database_loses_nothing(platform: Platform, check: Check) -> None:
    """What was committed to PostgreSQL is there after its pod was killed."""
    if platform.name != "local":
        check.skip("it kills the database's pod; that is done to the local stack only")
    word = f"committed {time.time()}"
    with platform.postgres() as database:
        database.execute(f"CREATE TABLE IF NOT EXISTS {SURVIVAL_TABLE} (word text)")
        database.execute(f"INSERT INTO {SURVIVAL_TABLE} VALUES (%s)", [word])
    old = database_pod(platform)
    platform.core.delete_namespaced_pod(old.metadata.name, old.metadata.namespace, grace_period_seconds=0)
    began = time.monotonic()
    wait_for_other_pod(platform, old.metadata.uid)
    with platform.postgres() as database:
        rows = [row[0] for row in database.execute(f"SELECT word FROM {SURVIVAL_TABLE}").fetchall()]
        database.execute(f"DROP TABLE {SURVIVAL_TABLE}")
    seconds = time.monotonic() - began
    check(word in rows, f"the row is there {seconds:.1f} s after the kill", rows=rows)
    # Each of Trino's pooled connections to its catalog fails once then, so one answer is not enough.
    for _ in range(POOLED):
        answer = first_answer(lambda: platform.sql(LAKE))
    check(bool(answer), f"Trino read the lake again {time.monotonic() - began:.1f} s after the kill")


def first_answer(ask: Callable[[], Any], patience: float = 60) -> Any:
    """What `ask` gives once it no longer raises; its error when it still does at the end."""
    deadline = time.monotonic() + patience
    while True:
        try:
            return ask()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def database_pod(platform: Platform) -> Any:
    """The pod behind the database's Service, or None while there is none."""
    service, namespace = platform.access["PGHOST"].split(".")[:2]
    selector = platform.core.read_namespaced_service(service, namespace).spec.selector
    wanted = ",".join(f"{key}={value}" for key, value in selector.items())
    found = platform.core.list_namespaced_pod(namespace, label_selector=wanted).items
    return found[0] if found else None


def wait_for_other_pod(platform: Platform, uid: str, patience: float = 120) -> None:
    def ready() -> bool:
        pod = database_pod(platform)
        return bool(pod and pod.metadata.uid != uid and client.pods.ready(pod))

    until(ready, "the database's pod to be ready again", patience)
