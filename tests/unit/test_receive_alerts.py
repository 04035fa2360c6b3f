"""The receiver keeps what Alertmanager sends before it answers, and notices when nothing comes."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

import workloads
from workloads.common import HopelessError
from workloads.receive_alerts import config
from workloads.receive_alerts.api import Receiver, application
from workloads.receive_alerts.heart import Heart, Listener
from workloads.receive_alerts.main import listeners
from workloads.receive_alerts.schemas import Alert, Notification
from workloads.receive_alerts.store import Store

NEVER = "0001-01-01T00:00:00Z"


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Outside:
    """Who is told that the watching is dead; what it refuses did not arrive."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.refuses = False

    def __call__(self, alert: Alert) -> None:
        if self.refuses:
            raise OSError("connection refused")
        self.told.append(alert.status)


def alert(name: str = "TrinoDown", status: str = "firing", fingerprint: str = "ab12", **labels: str) -> Any:
    ends = "2026-11-27T22:30:00Z" if status == "resolved" else NEVER
    return {
        "status": status, "labels": {"alertname": name, "severity": "critical", **labels},
        "annotations": {"summary": "it is down"}, "startsAt": "2026-11-27T22:26:24.5Z", "endsAt": ends,
        "generatorURL": "http://prometheus", "fingerprint": fingerprint,
    }  # fmt: skip


def notification(*alerts: Any) -> dict[str, Any]:
    return {
        "version": "4", "groupKey": "{}", "status": alerts[0]["status"], "receiver": "receive-alerts",
        "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "", "alerts": alerts,
    }  # fmt: skip


@pytest.fixture
def clock() -> Clock:
    return Clock()


def opened(folder: Path, clock: Clock, **changes: Any) -> TestClient:
    settings = config.ReceiveAlerts(**changes)
    store = Store(folder, settings.keep)
    heart = Heart(settings, store.last_beat(), listeners(settings, store), clock)
    return TestClient(application(Receiver(settings, store, heart)))


@pytest.fixture
def client(tmp_path: Path, clock: Clock) -> Iterator[TestClient]:
    with opened(tmp_path, clock) as client:
        yield client


def test_an_alert_is_kept_once_for_firing_and_once_for_its_end(client: TestClient, clock: Clock) -> None:
    client.post("/v1/alerts", json=notification(alert())).raise_for_status()
    clock.now += 5
    client.post("/v1/alerts", json=notification(alert())).raise_for_status()
    client.post("/v1/alerts", json=notification(alert(status="resolved"))).raise_for_status()
    resolved, firing = client.get("/v1/alerts").json()
    assert (firing["status"], firing["times"], firing["received"]) == ("firing", 2, clock.now - 5)
    assert (resolved["status"], resolved["times"]) == ("resolved", 1)
    assert firing["ends_at"] is None
    assert resolved["ends_at"] == "2026-11-27T22:30:00Z"
    assert firing["annotations"] == {"summary": "it is down"}


def test_what_was_answered_is_there_after_a_kill(tmp_path: Path, clock: Clock) -> None:
    killed = opened(tmp_path, clock)  # Without its end, which a killed one has not either.
    killed.post("/v1/alerts", json=notification(alert())).raise_for_status()
    killed.post("/v1/alerts", json=notification(alert("Watchdog"))).raise_for_status()
    with opened(tmp_path, clock) as again:
        assert [each["alertname"] for each in again.get("/v1/alerts").json()] == ["TrinoDown"]
        assert again.get("/v1/heartbeat").json()["last"] == clock.now


def test_alerts_are_found_by_name_status_and_time(client: TestClient, clock: Clock) -> None:
    client.post("/v1/alerts", json=notification(alert(), alert("MlflowDown", fingerprint="cd")))
    clock.now += 60
    client.post("/v1/alerts", json=notification(alert(status="resolved")))

    def names(**asked: Any) -> list[str]:
        return [
            f"{each['alertname']} {each['status']}" for each in client.get("/v1/alerts", params=asked).json()
        ]

    assert names(alertname="MlflowDown") == ["MlflowDown firing"]
    assert names(status="resolved") == ["TrinoDown resolved"]
    assert names(since=clock.now - 1) == ["TrinoDown resolved"]
    assert names(most=1) == ["TrinoDown resolved"]


def test_the_oldest_entries_go(tmp_path: Path, clock: Clock) -> None:
    with opened(tmp_path, clock, keep=3) as client:
        for number in range(5):
            client.post("/v1/alerts", json=notification(alert(fingerprint=f"a{number}")))
        assert [each["fingerprint"] for each in client.get("/v1/alerts").json()] == ["a4", "a3", "a2"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**notification(alert()), "version": "3"},
        notification({**alert(), "status": "maybe"}),
        notification({**alert(), "fingerprint": "../x"}),
        {**notification(alert()), "alerts": []},
        notification({**alert(), "labels": {}}),
    ],
)
def test_what_is_no_notification_is_refused(client: TestClient, body: Any) -> None:
    assert client.post("/v1/alerts", json=body).status_code == 422
    assert client.get("/v1/alerts").json() == []


def test_what_cannot_be_kept_is_not_said_to_be(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alertmanager sends again what was answered by 5xx, and nothing else."""

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Store, "keep", full)
    answer = client.post("/v1/alerts", json=notification(alert()))
    assert answer.status_code == 503
    assert "disk is full" in answer.json()["detail"]


# --- the heartbeat ------------------------------------------------------------------------------------------


def heart(clock: Clock, outside: Outside, last: float | None = None) -> Heart:
    return Heart(config.ReceiveAlerts(silence_seconds=60), last, [Listener("outside", outside)], clock)


def test_silence_is_told_once_and_its_end_once(clock: Clock) -> None:
    outside = Outside()
    watched = heart(clock, outside)
    for seconds, beats in ((59, False), (2, False), (30, False), (1, True), (1, True)):
        clock.now += seconds
        if beats:
            watched.beat()
        watched.look()
    assert outside.told == ["firing", "resolved"]


def test_one_that_was_not_reached_is_told_later(clock: Clock) -> None:
    outside = Outside()
    watched = heart(clock, outside)
    outside.refuses = True
    clock.now += 61
    watched.look()
    outside.refuses = False
    watched.look()
    watched.look()
    assert outside.told == ["firing"]


def test_who_did_not_hear_of_the_silence_need_not_hear_of_its_end(clock: Clock) -> None:
    outside = Outside()
    watched = heart(clock, outside)
    outside.refuses = True
    clock.now += 61
    watched.look()
    outside.refuses = False
    watched.beat()
    watched.look()
    assert outside.told == []


def test_a_start_gives_the_heartbeat_its_time_however_old_the_last_one_is(clock: Clock) -> None:
    watched = heart(clock, Outside(), last=clock.now - 10_000)
    clock.now += 59
    assert watched.state().alive
    clock.now += 2
    assert not watched.state().alive


def test_the_heartbeat_is_asked_for_by_its_status(tmp_path: Path, clock: Clock) -> None:
    with opened(tmp_path, clock, silence_seconds=60) as client:
        client.post("/v1/alerts", json=notification(alert("Watchdog"))).raise_for_status()
        assert client.get("/v1/alerts").json() == []
        assert client.get("/v1/heartbeat").status_code == 200
        clock.now += 61
        assert client.get("/v1/heartbeat").status_code == 503


def test_an_end_that_alertmanager_tells_is_not_waited_for(tmp_path: Path, clock: Clock) -> None:
    """It tells it minutes after Prometheus spoke last. A rule that was changed ends and begins at once."""
    gone, new = alert("Watchdog", "resolved"), alert("Watchdog", fingerprint="cd34")
    with opened(tmp_path, clock, silence_seconds=60) as client:
        for alerts, status in (([new], 200), ([gone, new], 200), ([gone], 503), ([new], 200)):
            client.post("/v1/alerts", json=notification(*alerts)).raise_for_status()
            assert client.get("/v1/heartbeat").status_code == status


def test_who_is_told_of_the_death_is_told_the_cause(clock: Clock) -> None:
    heard: list[Alert] = []
    watched = Heart(config.ReceiveAlerts(silence_seconds=60), None, [Listener("me", heard.append)], clock)
    watched.end()
    watched.look()
    watched.beat()
    watched.look()
    clock.now += 61
    watched.look()
    assert [each.status for each in heard] == ["firing", "resolved", "firing"]
    assert "Prometheus" in heard[0].annotations["summary"]
    assert "for 60 s" in heard[2].annotations["summary"]


def test_the_death_of_the_watching_is_kept_among_the_alerts(tmp_path: Path, clock: Clock) -> None:
    settings = config.ReceiveAlerts(silence_seconds=60)
    store = Store(tmp_path, settings.keep)
    watched = Heart(settings, None, listeners(settings, store), clock)
    clock.now += 61
    watched.look()
    died = clock.now
    clock.now += 5
    watched.beat()
    watched.look()
    watched.look()
    resolved, firing = store.find(0, "WatchingIsDead", None, 10)
    assert (firing.status, resolved.status) == ("firing", "resolved")
    assert firing.starts_at.timestamp() == resolved.starts_at.timestamp() == died
    assert resolved.ends_at is not None
    assert resolved.ends_at.timestamp() == clock.now


def test_who_is_outside_is_told_as_alertmanager_tells(tmp_path: Path, clock: Clock, monkeypatch: Any) -> None:
    """Another receiver takes it."""
    posted: list[tuple[str, Any]] = []
    monkeypatch.setattr("workloads.receive_alerts.main.post", lambda *given: posted.append(given))
    settings = config.ReceiveAlerts(silence_seconds=60, notify_url="http://outside")
    watched = Heart(settings, None, listeners(settings, Store(tmp_path, 9)), clock)
    clock.now += 61
    watched.look()
    ((url, body),) = posted
    assert url == "http://outside"
    assert Notification.model_validate(body).alerts == [watched.alarm]
    assert body.keys() == notification(alert()).keys()


# --- how it is deployed -------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"keep": 0}, {"silence_seconds": 0.0}, {"notify_url": "outside"}])
def test_senseless_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(HopelessError, match=next(iter(change))):
        config.ReceiveAlerts(**change)


def test_its_pod_has_no_password_and_keeps_its_file_on_a_volume() -> None:
    objects = workloads.manifest("receive_alerts", "registry.example/seatrial/workloads:0123")
    (deployment,) = (each for each in objects if each["kind"] == "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    assert "platform-access" not in json.dumps(objects)
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "receive-alerts"}} in pod["volumes"]
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
