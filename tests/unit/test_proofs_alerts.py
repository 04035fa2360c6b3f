"""Servers that are taken away come back, and an alert that is late, muted or hasty is found out."""

from types import SimpleNamespace as Some
from typing import Any

import pytest

from client import ClientError
from proofs import alarms, outages
from proofs.run import Broken, Check, Skip
from proofs.subjects import monitoring_alerts as subject

TRINO, MLFLOW = outages.DEAD["TrinoDown"], outages.DEAD["MlflowDown"]


class World:
    """Deployments by name, as far as somebody scales them."""

    def __init__(self) -> None:
        self.replicas = {"trino": 1, "mlflow": 2}
        self.notes: dict[str, str | None] = {}

    def call(self, server: outages.Server, _: Any, verb: str, change: Any = None) -> Any:
        name = server.name
        if verb == "patch":
            self.replicas[name] = change["spec"]["replicas"]
            self.notes |= {name: change["metadata"]["annotations"][outages.REPLICAS_BEFORE]}
        note = self.notes.get(name)
        return Some(
            metadata=Some(annotations={outages.REPLICAS_BEFORE: note} if note else None),
            spec=Some(replicas=self.replicas[name], selector=Some(match_labels={"app": name})),
            status=Some(ready_replicas=self.replicas[name] or None),
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(outages.Server, "_call", lambda *of: made.call(*of))
    return made


def test_servers_are_away_and_come_back_as_many_as_they_were(world: World) -> None:
    platform: Any = Some()
    with outages.away(platform, [TRINO, MLFLOW]):
        assert world.replicas == {"trino": 0, "mlflow": 0}
    assert world.replicas == {"trino": 1, "mlflow": 2}
    assert not any(world.notes.values())


def test_pods_that_drain_for_minutes_are_not_waited_for(world: World) -> None:
    taken: list[Any] = []
    core = Some(delete_collection_namespaced_pod=lambda *of, **how: taken.append((*of, how)))
    platform: Any = Some(core=core)
    drains = outages.Server("platform-serving", "trino", drains=True)
    with outages.away(platform, [drains, MLFLOW]):
        pass
    chosen = {"label_selector": "app=trino", "grace_period_seconds": 0}
    assert taken == [("platform-serving", chosen)]


def test_what_a_killed_run_left_away_comes_back(world: World) -> None:
    world.replicas["mlflow"], world.notes["mlflow"] = 0, "2"
    platform: Any = Some()
    with outages.away(platform, [TRINO, MLFLOW]):
        pass
    assert world.replicas == {"trino": 1, "mlflow": 2}


# --- the proof ----------------------------------------------------------------------------------------------


def way(alert: str, **changes: Any) -> alarms.Told:
    usual: dict[str, Any] = {"violated": 100.0, "pending": True, "received": 112.0, "allowed": 16.0}
    return alarms.Told(alert=alert, **{**usual, **changes})


@pytest.fixture
def seen(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is told of two dead servers; tests change it."""
    told: dict[str, Any] = {"TrinoDown": {}, "MlflowDown": {}, outages.WITHOUT_TARGETS: {}}
    monkeypatch.setattr(outages, "there", lambda _: {"TrinoDown": TRINO, "MlflowDown": MLFLOW})
    monkeypatch.setattr(alarms, "firing", lambda _: set())
    monkeypatch.setattr(alarms, "received", lambda *_: dict.fromkeys(told, 0.0))
    monkeypatch.setattr(alarms, "ways", lambda *_: [way(alert, **said) for alert, said in told.items()])
    monkeypatch.setattr(subject, "PATIENCE", 0)
    return told


def prove(name: str = subject.LOCAL) -> Check:
    check = Check()
    platform: Any = Some(name=name)
    subject.every_dead_server_is_told_of(platform, check)
    return check


def test_it_holds_when_all_arrive_in_time(seen: dict[str, Any]) -> None:
    check = prove()
    assert len(check.asserted) == len(seen) + 3
    figures = {way["alert"]: (way["took"], way["allowed"]) for way in check.attached["alerts"]}
    assert figures == dict.fromkeys(seen, (12.0, 16.0))


def test_an_alert_that_does_not_arrive_is_named(seen: dict[str, Any], world: World) -> None:
    del seen["MlflowDown"]
    with pytest.raises(ClientError, match="MlflowDown to be received as firing"):
        prove()
    assert world.replicas == {"trino": 1, "mlflow": 2}


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"received": 117.0}, "in the time that the settings allow"),
        ({"received": 121.0, "allowed": 60.0}, "within 20 s"),
        ({"pending": False}, "waited before it fired"),
    ],
)
def test_one_that_is_late_or_hasty_is_found_out(
    seen: dict[str, Any], said: dict[str, Any], words: str
) -> None:
    seen["TrinoDown"] = said
    with pytest.raises(Broken, match=words):
        prove()


def test_nobody_elses_servers_are_taken_away(world: World) -> None:
    with pytest.raises(Skip, match="takes every server"):
        prove("prod")
    assert world.replicas == {"trino": 1, "mlflow": 2}


def test_the_way_of_an_alert_is_reckoned_from_when_its_condition_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def prometheus(path: str, **asked: str) -> Any:
        if path == "rules":
            rule = {"name": "TrinoDown", "query": "absent(up)", "duration": 5}
            return {"groups": [{"interval": 5, "rules": [rule]}]}
        pending = "ALERTS" in asked["query"]
        values = [] if pending else [{"values": [[103, "1"], [104, "1"]]}, {"values": [[101, "1"]]}]
        return {"result": values}

    monkeypatch.setattr(alarms, "received", lambda *_: {"TrinoDown": 115.5})
    monkeypatch.setattr(alarms, "scrape_interval", lambda _: 5.0)
    monkeypatch.setattr(alarms, "group_wait", lambda _: 1.0)
    platform: Any = Some(prometheus=prometheus)
    (found,) = alarms.ways(platform, ["TrinoDown"], 90.0)
    assert (found.violated, found.took, found.allowed, found.pending) == (101.0, 14.5, 16.0, False)


def test_of_what_arrived_more_than_once_the_first_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [{"alertname": "TrinoDown", "received": at} for at in (130.0, 112.0, 121.0)]
    answer = Some(json=lambda: entries, raise_for_status=lambda: None)
    monkeypatch.setattr(alarms.httpx, "get", lambda *_, **__: answer)
    platform: Any = Some(forward=lambda *_: Some(local_port=1))
    assert alarms.received(platform, 0.0, "firing") == {"TrinoDown": 112.0}
