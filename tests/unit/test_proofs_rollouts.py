"""What the proofs of rollouts stand on: counts of the proxies, and servers that are killed in turn."""

import re
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import pytest
from kubernetes import client as k8s

from client import outputs, waiting
from client.errors import ClientError
from proofs import damage_rollouts, killed, repeated
from tests.unit.test_client_waiting import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", clock)
    return clock


class Prometheus:
    """Reads its one proxy every so many seconds; that one has sent a request again at these times."""

    def __init__(self, clock: Clock, again: list[float], every: float = 30) -> None:
        self.clock, self.again, self.every = clock, again, every

    def prometheus(self, path: str, query: str) -> Any:
        now = self.clock.now
        read = now - now % self.every
        values = {
            "vector(time())": now,
            "timestamp(up": read,
            "rq_retry": sum(at < read for at in self.again),
        }
        [value] = [value for part, value in values.items() if part in query]
        return {"result": [{"metric": {}, "value": [now, str(value)]}]}


def test_what_was_sent_again_is_read_by_prometheus_first(clock: Clock) -> None:
    assert repeated.repeated(Prometheus(clock, [95.0, 99.0, 99.5]), "delay") == 3  # type: ignore[arg-type]
    assert 120 <= clock.now < 121, "what it had read at 90 was too old"


def test_a_prometheus_that_reads_no_proxy_is_no_proof_of_anything(clock: Clock) -> None:
    with pytest.raises(ClientError, match="to read the counts of the Gateway's proxies"):
        repeated.repeated(Prometheus(clock, [], every=1e6), "delay")  # type: ignore[arg-type]


class World:
    """Two pods; a killed server is started again, and is asked ten times at each look that follows."""

    def __init__(self) -> None:
        self.restarts, self.answered = {"a": 0, "b": 0}, {"a": 0, "b": 0}
        self.killed: list[str] = []
        self.core = Some(
            list_namespaced_pod=lambda *_, **__: Some(items=[self.pod("b"), self.pod("a"), self.pod("c")]),
            read_namespaced_pod=lambda name, _: self.pod(name),
        )

    def pod(self, name: str) -> Any:
        ended = Some(exit_code=137) if self.restarts.get(name) else None
        status = Some(restart_count=self.restarts.get(name, 0), last_state=Some(terminated=ended))
        metadata = Some(name=name, uid=f"uid-{name}", deletion_timestamp="now" if name == "c" else None)
        conditions = [Some(type="Ready", status="True")]
        return Some(metadata=metadata, status=Some(container_statuses=[status], conditions=conditions))

    def execute(self, _: Any, pod: Any, command: tuple[str, ...]) -> str:
        name = pod.metadata.name
        if command == killed.KILL:
            assert min(self.answered.values()) >= killed.IN_USE, "the other one is not in use yet"
            self.killed.append(name)
            self.restarts[name], self.answered[name] = self.restarts[name] + 1, 0
            return ""
        self.answered[name] += 10
        return f"{self.answered[name]}.0\n"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> World:
    world = World()
    monkeypatch.setattr(killed.client.pods, "execute", world.execute)
    return world


def test_servers_are_killed_in_turn_and_never_while_another_starts(world: World) -> None:
    assert killed.in_turn(world, "delay", "3", 3) == [137, 137, 137]  # type: ignore[arg-type]
    assert world.killed == ["a", "b", "a"]
    assert min(world.answered.values()) >= killed.IN_USE, "after the last one both are in use again"


def test_the_lives_of_pods_are_told_by_who_they_are(world: World) -> None:
    world.restarts["b"] = 2
    assert killed.lives(world, "x") == {"uid-a": 0, "uid-b": 2}  # type: ignore[arg-type]


def test_the_gateway_sends_again_what_it_sent_before_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    api = MagicMock()
    api.get_namespaced_custom_object.return_value = {"spec": {"retry": {"numRetries": 2}}}
    monkeypatch.setattr(damage_rollouts.k8s, "CustomObjectsApi", lambda _: api)
    with pytest.raises(KeyError), damage_rollouts.no_retries(MagicMock()):
        raise KeyError("the proof's own error")
    written = [each.args[-1]["spec"]["retry"] for each in api.patch_namespaced_custom_object.call_args_list]
    assert written == [None, {"numRetries": 2}]
    place = ("backendtrafficpolicies", "repeatable")
    assert api.patch_namespaced_custom_object.call_args.args[2:5] == (outputs.NAMESPACE_WORKLOADS, *place)


def test_the_service_ends_as_before_after_the_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    apps, followed, lifecycle = MagicMock(), MagicMock(), {"preStop": {"sleep": {"seconds": 6}}}
    pod = k8s.V1PodSpec(
        containers=[
            k8s.V1Container(
                name="main",
                lifecycle=k8s.V1Lifecycle(
                    pre_stop=k8s.V1LifecycleHandler(sleep=k8s.V1SleepAction(seconds=6))
                ),
            )
        ],
        termination_grace_period_seconds=30,
    )
    update = Some(max_surge=1, max_unavailable=0)
    spec = Some(strategy=Some(rolling_update=update), template=Some(spec=pod))
    monkeypatch.setattr(damage_rollouts.k8s, "AppsV1Api", lambda _: apps)
    monkeypatch.setattr(damage_rollouts.booking, "booked", lambda _: None)
    monkeypatch.setattr(damage_rollouts.booking, "deployment", lambda _: Some(spec=spec))
    monkeypatch.setattr(damage_rollouts.deployments, "follow", followed)
    with pytest.raises(KeyError), damage_rollouts.hurried_service(Some(api=k8s.ApiClient())):  # type: ignore[arg-type]
        raise KeyError("the proof's own error")
    assert followed.call_count == 2
    broken, mended = [each.args[-1]["spec"] for each in apps.patch_namespaced_deployment.call_args_list]
    assert broken["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": "100%"}
    assert broken["template"]["spec"]["containers"] == [{"name": "main", "lifecycle": None}]
    assert mended == {
        "strategy": {"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "template": {
            "spec": {
                "terminationGracePeriodSeconds": 30,
                "containers": [{"name": "main", "lifecycle": lifecycle}],
            }
        },
    }


def test_a_servers_metrics_are_counted_by_the_name_that_it_gives_them() -> None:
    from client.live import REQUESTS

    assert re.search(rf'startswith\("{REQUESTS}\{{"\)', killed.COUNT)
