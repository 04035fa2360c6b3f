"""Kills the server of a model in its pod, and says how its pods fare."""

from typing import Any

from kubernetes import client as k8s

import client
from client import Platform, models, outputs
from client.waiting import until

KILL = ("python", "-c", "import resource; resource.prlimit(1, resource.RLIMIT_CPU, (1, 1))")
"""SIGKILL for the first process of a container, which a signal from inside does not reach: it is given a
second of processor time in all, which it has long had, and the kernel ends it.
"""
COUNT = """
import urllib.request
lines = urllib.request.urlopen("http://127.0.0.1:8080/metrics", timeout=5).read().decode().splitlines()
print(sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith("model_requests_total{")))
"""
IN_USE = 20
"""Requests that a server has answered since it began when the Gateway surely knows it."""
SIGKILL = 128 + 9
"""Exit code of what was ended by that signal."""


def pods(platform: Platform, selector: str) -> list[Any]:
    """The pods that a selector picks, by name; those that end are left out."""
    found = platform.core.list_namespaced_pod(outputs.NAMESPACE_WORKLOADS, label_selector=selector).items
    there = [pod for pod in found if pod.metadata.deletion_timestamp is None]
    return sorted(there, key=lambda pod: str(pod.metadata.name))


def lives(platform: Platform, selector: str) -> dict[str, int]:
    """How often the containers of each pod were started again, by the pod's uid."""
    return {pod.metadata.uid: restarts(pod) for pod in pods(platform, selector)}


def restarts(pod: Any) -> int:
    return sum(status.restart_count for status in pod.status.container_statuses or [])


def in_turn(platform: Platform, model: str, version: str, times: int) -> list[int]:
    """Kill the servers of a version in turn, each while all of them get requests; their exit codes."""
    selector = f"serving.kserve.io/inferenceservice={models.service_name(model, version)}"
    codes = []
    for number in range(times):
        _all_in_use(platform, selector)
        there = pods(platform, selector)
        victim = there[number % len(there)]
        client.pods.execute(platform, victim, KILL)
        codes.append(ended(platform, victim))
    _all_in_use(platform, selector)
    return codes


def _all_in_use(platform: Platform, selector: str) -> None:
    until(
        lambda: all(_answered(platform, pod) >= IN_USE for pod in pods(platform, selector)),
        lambda: f"all servers to get requests: {client.pods.states(pods(platform, selector))}",
        every=1,
    )


def _answered(platform: Platform, pod: Any) -> float:
    """Requests that a server has answered since it began, by its own count; none while it cannot say."""
    if not client.pods.ready(pod):
        return 0
    try:
        return float(client.pods.execute(platform, pod, ("python", "-c", COUNT)))
    except (k8s.ApiException, ValueError):
        return 0


def ended(platform: Platform, pod: Any) -> int:
    """The exit code of a server that was killed, once Kubernetes knows of it."""
    last: list[Any] = []

    def known() -> bool:
        now = platform.core.read_namespaced_pod(pod.metadata.name, outputs.NAMESPACE_WORKLOADS)
        last[:] = [status.last_state.terminated for status in now.status.container_statuses or []]
        return restarts(now) > restarts(pod)

    until(known, f"the killed server of pod {pod.metadata.name} to be started again", every=0.2)
    return int(last[0].exit_code)
