"""What fires, what becomes of it, and silences, by what Prometheus 2.53 and Alertmanager 0.28 answered."""

import copy
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from kubernetes import client as k8s

from client import alerts
from client.errors import ClientError
from client.live import PrometheusAway
from client.platform import Platform
from tests.unit.watched_platform import SILENCE, Watched

HOUR = timedelta(hours=1)


@pytest.fixture
def there() -> Watched:
    return Watched()


def silence(there: Watched, name: str = "TrinoDown", namespace: str | None = None) -> alerts.Silence:
    return alerts.silence(
        there.platform, name, namespace=namespace, lasting=HOUR, by="ann@desk", reason="new disk"
    )


def test_the_worst_is_first_and_what_only_may_fire_is_last(there: Watched) -> None:
    found = alerts.look(there.platform)
    assert found.away == ""
    assert [(each.name, each.namespace, each.state, each.notification) for each in found.alerts] == [
        ("MlflowDown", "platform-ml", "firing", "active"),
        ("TargetDown", "platform-ml", "firing", "inhibited"),
        ("TargetDown", "workloads", "firing", "silenced"),
        ("TrinoDown", "", "pending", ""),
    ]
    first = found.alerts[0]
    assert first.receivers == ("none",)
    assert first.runbook == "docs/runbooks/MlflowDown.md"
    assert first.since == datetime(2026, 11, 27, 22, 54, 44, 404466, UTC)


def test_of_equally_bad_ones_the_oldest_is_first(there: Watched) -> None:
    for entry in there.firing:
        entry["labels"]["severity"] = "info"
        entry["state"] = "firing"
    there.firing[-1]["activeAt"] = "2026-11-26T00:00:00Z"
    oldest = alerts.look(there.platform).alerts[0]
    assert (oldest.name, oldest.namespace) == ("TargetDown", "platform-ml")


def test_what_alertmanager_has_not_got_is_not_said_to_be_told(there: Watched) -> None:
    there.sent.clear()
    found = alerts.look(there.platform).alerts
    assert [each.notification for each in found] == ["unknown", "unknown", "unknown", ""]
    assert not any(each.receivers for each in found)


def test_an_alert_is_not_taken_for_one_with_more_labels(there: Watched) -> None:
    """Both have the labels of the first; only what Prometheus adds may be besides."""
    special = copy.deepcopy(there.alert_sent("MlflowDown"))
    special["labels"]["pod"] = "mlflow-7"
    special["status"] |= {"state": "suppressed", "silencedBy": [SILENCE]}
    there.sent.insert(0, special)
    assert alerts.look(there.platform).alerts[0].notification == "active"


@pytest.mark.parametrize(
    ("status", "notification"),
    [
        ({"state": "unprocessed"}, "unprocessed"),
        ({"state": "suppressed", "mutedBy": ["nights"]}, "muted"),
        ({"state": "suppressed", "inhibitedBy": ["5"], "silencedBy": ["6"]}, "silenced"),
    ],
)
def test_alertmanager_says_why_nobody_is_told(there: Watched, status: Any, notification: str) -> None:
    there.alert_sent("MlflowDown")["status"].update(status)
    assert alerts.look(there.platform).alerts[0].notification == notification


def test_silences_that_ended_are_not_listed(there: Watched) -> None:
    first, second = alerts.silences(there.platform)
    assert first.matchers == 'alertname="TargetDown", namespace="workloads"'
    assert (first.id, first.by, first.reason, first.state) == (SILENCE, "root@vm", "we move it", "active")
    assert second.matchers == 'namespace=~"platform-(data|ml)", severity!="critical"'
    assert (second.state, second.start.year) == ("pending", 2099)


def test_without_alertmanager_what_fires_is_told_with_why_nobody_else_is(there: Watched) -> None:
    there.fail["alertmanager"] = httpx.ConnectError("refused")
    there.complaints["ALERTMANAGER_URL"] = "no pod behind service alertmanager is ready"
    found = alerts.look(there.platform)
    assert [each.name for each in found.alerts] == ["MlflowDown", "TargetDown", "TargetDown", "TrinoDown"]
    assert [each.notification for each in found.alerts] == ["unknown", "unknown", "unknown", ""]
    assert found.silences == []
    assert "nobody is told of anything: no pod behind service alertmanager is ready" in found.away


def test_an_alertmanager_that_answers_with_an_error_hides_no_alert(there: Watched) -> None:
    request = httpx.Request("GET", "http://alertmanager")
    answer = httpx.Response(503, text="starting")
    there.fail["alertmanager"] = httpx.HTTPStatusError("503", request=request, response=answer)
    found = alerts.look(there.platform)
    assert len(found.alerts) == 4
    assert "Alertmanager refused GET alerts: 503 starting" in found.away


def test_without_prometheus_nothing_is_called_well(there: Watched) -> None:
    there.fail["prometheus"] = httpx.ReadTimeout("timed out")
    with pytest.raises(PrometheusAway, match="nothing else says what fires: timed out"):
        alerts.look(there.platform)


def test_nothing_may_be_the_matter(there: Watched) -> None:
    there.firing.clear()
    there.sent.clear()
    there.silences.clear()
    assert alerts.look(there.platform) == alerts.Situation([], [], "")


def test_an_alert_is_silenced_by_its_name_and_namespace(there: Watched) -> None:
    before = datetime.now(UTC)
    made = silence(there, "TargetDown", "workloads")
    [body] = there.posted
    assert body["matchers"] == [
        {"name": "alertname", "value": "TargetDown", "isRegex": False, "isEqual": True},
        {"name": "namespace", "value": "workloads", "isRegex": False, "isEqual": True},
    ]
    assert (body["createdBy"], body["comment"]) == ("ann@desk", "new disk")
    start, end = (datetime.fromisoformat(body[key]) for key in ("startsAt", "endsAt"))
    assert end - start == HOUR
    assert before <= start <= datetime.now(UTC)
    assert made.until == end
    assert (made.id, made.state) == (there.silences[-1]["id"], "active")


def test_without_a_namespace_it_is_silenced_in_all(there: Watched) -> None:
    silence(there)
    assert [each["value"] for each in there.posted[0]["matchers"]] == ["TrinoDown"]


def test_what_does_not_fire_can_be_silenced_too(there: Watched) -> None:
    """Before work that will make it fire."""
    assert silence(there, "RuleEvaluationFails").state == "active"


def test_what_others_send_can_be_silenced(there: Watched) -> None:
    there.alert_sent("MlflowDown")["labels"]["alertname"] = "NightJobFailed"
    assert silence(there, "NightJobFailed").state == "active"


@pytest.mark.parametrize(
    ("name", "todo"),
    [("TrinoDwn", "did you mean TrinoDown?"), ("Xyz", "MlflowDown, RuleEvaluationFails, TargetDown")],
)
def test_a_misspelt_alert_is_refused_with_those_there_are(there: Watched, name: str, todo: str) -> None:
    with pytest.raises(ClientError, match=f"no alert is called {name}") as refused:
        silence(there, name)
    assert todo in refused.value.todo
    assert there.posted == []


def test_a_misspelt_namespace_is_refused(there: Watched) -> None:
    with pytest.raises(ClientError, match="no namespace platfrom-ml"):
        silence(there, "TrinoDown", "platfrom-ml")
    assert there.posted == []


def test_a_namespace_that_may_not_be_looked_for_is_no_missing_one(there: Watched) -> None:
    there.namespaces["secret"] = 403
    with pytest.raises(k8s.ApiException, match="403"):
        silence(there, "TrinoDown", "secret")


def test_what_alertmanager_refuses_is_said_in_its_words(there: Watched) -> None:
    answer = httpx.Response(400, text='"Failed to create silence: end time can\'t be in the past"\n')
    request = httpx.Request("POST", "http://alertmanager")
    there.fail["POST"] = httpx.HTTPStatusError("400", request=request, response=answer)
    with pytest.raises(ClientError, match=re.escape('refused POST silences: 400 "Failed to create')):
        silence(there)


def test_a_silence_is_ended_before_its_time(there: Watched) -> None:
    ended = alerts.unsilence(there.platform, SILENCE)
    assert ended.matchers == 'alertname="TargetDown", namespace="workloads"'
    assert there.deleted == [SILENCE]


def test_a_silence_that_ended_or_never_was_is_not_ended_again(there: Watched) -> None:
    expired = there.silences[-1]
    assert expired["status"]["state"] == "expired"
    for unknown in (expired["id"], "nonsense"):
        with pytest.raises(ClientError, match=f"no silence {unknown} is active") as refused:
            alerts.unsilence(there.platform, unknown)
        assert SILENCE in refused.value.todo
    assert there.deleted == []


class Alertmanager(BaseHTTPRequestHandler):
    """Answers with what it was asked, and to DELETE with nothing as the real one does."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        asked = {"method": self.command, "path": self.path, "body": json.loads(body) if body else None}
        content = b"" if self.command == "DELETE" else json.dumps(asked).encode()
        self.send_response(404 if self.path.endswith("/nowhere") else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def platform(monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    with HTTPServer(("127.0.0.1", 0), Alertmanager) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        made = Platform(k8s.ApiClient(), "test")
        made._access = {"ALERTMANAGER_URL": "http://alertmanager.platform-monitoring.svc.cluster.local:9093"}
        monkeypatch.setattr(made, "local", lambda _: urlsplit(f"http://127.0.0.1:{server.server_port}"))
        yield made
        server.shutdown()


def test_alertmanager_is_asked_by_its_second_api(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    asked = platform.alertmanager("POST", "silences", {"comment": "x"})
    assert asked == {"method": "POST", "path": "/api/v2/silences", "body": {"comment": "x"}}
    assert platform.alertmanager("GET", "alerts")["body"] is None
    assert platform.alertmanager("DELETE", "silence/5") is None
    with pytest.raises(httpx.HTTPStatusError):
        platform.alertmanager("GET", "nowhere")


def test_a_platform_of_before_says_how_it_gets_the_address() -> None:
    old = Platform(None, "test")
    old._access = {"PROMETHEUS_URL": "http://prometheus.platform-monitoring.svc.cluster.local:9090"}
    with pytest.raises(ClientError, match="ALERTMANAGER_URL is not in Secret platform-access") as refused:
        old.alertmanager("GET", "alerts")
    assert "seatrial up" in refused.value.todo
