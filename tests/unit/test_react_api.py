"""What Alertmanager meets: an alert is answered when it is stored, and not before."""

import copy
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg
import pytest

from client.waiting import until
from react.api import MOST_BYTES, application
from react.decide import DONE
from react.policy import ROLLBACK
from react.trail import Trail
from tests.unit import postgres
from tests.unit.booking_service import listening
from tests.unit.reaction import Clock, decide

# As Alertmanager 0.28 sends it.
TOLD: dict[str, Any] = {
    "receiver": "react", "status": "firing", "groupLabels": {"alertname": "ModelFails"},
    "commonLabels": {"alertname": "ModelFails"}, "commonAnnotations": {}, "version": "4",
    "externalURL": "http://alertmanager:9093", "groupKey": '{}:{alertname="ModelFails"}',
    "truncatedAlerts": 0,
    "alerts": [
        {
            "status": "firing",
            "labels": {
                "alertname": "ModelFails", "model": "delay", "version": "4", "severity": "critical",
            },
            "annotations": {"summary": "More than 1 %", "runbook_url": "docs/runbooks/ModelFails.md"},
            "startsAt": "2026-01-01T00:00:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph", "fingerprint": "9b1c1f1ad2c5e3a7",
        }
    ],
}  # fmt: skip
KEY = {"authorization": "Bearer secret"}


class Served:
    """The API on a trail; counts how often the controller was woken."""

    http: httpx.Client

    def __init__(self) -> None:
        self.woken, self.alive = 0, True

    def wake(self) -> None:
        self.woken += 1

    def tell(self, body: Any = None, **headers: str) -> Any:
        return self.http.post("/alerts", json=TOLD if body is None else body, headers=headers or KEY)


@pytest.fixture
def served(trail: Trail) -> Iterator[Served]:
    made = Served()
    app = application(trail, "secret", made.wake, lambda: made.alive)
    with listening(app) as address, httpx.Client(base_url=address, trust_env=False, timeout=60) as http:
        made.http = http
        yield made


def changed(**changes: Any) -> dict[str, Any]:
    """The payload with other values in its one alert."""
    body = copy.deepcopy(TOLD)
    body["alerts"][0] |= changes
    return body


def test_an_alert_is_stored_and_somebody_woken(served: Served, trail: Trail, clock: Clock) -> None:
    answer = served.tell()
    assert (answer.status_code, answer.json()) == (200, {"stored": 1})
    assert served.woken == 1
    clock.minutes = 3
    (made,) = decide(trail)
    assert (made.action, made.model, made.version, made.fingerprint) == (
        ROLLBACK, "delay", "4", "9b1c1f1ad2c5e3a7",
    )  # fmt: skip
    assert served.tell(changed(status="resolved", endsAt="2026-01-01T00:05:00Z")).status_code == 200
    assert [each.code for each in decide(trail)] == ["resolved"]


@pytest.mark.parametrize(
    "headers",
    [{"x": "y"}, *({"authorization": each} for each in ("Bearer other", "secret", ""))],
)
def test_nobody_is_heard_without_the_token(served: Served, trail: Trail, headers: dict[str, str]) -> None:
    assert served.tell(**headers).status_code == 401
    assert served.http.get("/v1/reactions", headers=headers).status_code == 401
    assert served.http.post("/alerts", content=b"{", headers=headers).status_code == 401, "nothing is read"
    assert served.woken == 0
    assert trail.latest(1) == decide(trail) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {**TOLD, "version": "3"},
        {**TOLD, "alerts": None},
        changed(status="pending"),
        changed(startsAt="yesterday"),
        changed(startsAt="2026-01-01T00:00:00"),
        changed(labels={"alertname": 1}),
        changed(labels={"alertname": "a\0b"}),
        changed(annotations={"summary": "a\0b"}),
        changed(fingerprint=""),
    ],
)
def test_what_is_no_payload_of_alertmanagers_is_refused(served: Served, trail: Trail, body: Any) -> None:
    answer = served.tell(body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["msg"]
    assert served.woken == 0
    assert decide(trail) == []


def test_halves_of_letters_and_what_is_too_long_are_refused(served: Served) -> None:
    half = b'{"version": "4", "receiver": "\\ud800", "alerts": []}'
    assert served.http.post("/alerts", content=half, headers=KEY).status_code == 422
    assert served.http.post("/alerts", content=b" " * (MOST_BYTES + 1), headers=KEY).status_code == 413


def test_what_cannot_be_stored_is_not_answered_as_if_it_were(
    served: Served, trail: Trail, trail_url: str, postgresql: postgres.Server
) -> None:
    name = trail_url.partition("@/")[2].partition("?")[0]
    with psycopg.connect(postgresql.url("postgres"), autocommit=True) as connection:
        connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        postgresql.end_connections(name)
        answer = served.tell()
        assert (answer.status_code, answer.json()["detail"]) == (503, "the database does not answer")
        assert served.http.get("/readyz").status_code == 503
        assert served.http.get("/healthz").status_code == 200
        assert served.woken == 0
        connection.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
    # The pool tries again after longer and longer pauses.
    until(lambda: served.tell().status_code == 200, "the alert to be stored", 60)


def test_the_trail_is_shown_the_newest_first_with_its_steps(
    served: Served, trail: Trail, clock: Clock
) -> None:
    served.tell()
    decide(trail)
    clock.minutes = 3
    (made,) = decide(trail)
    trail.step(made, "weights go back")
    trail.finish(made, DONE, {"left": "4"})
    found = served.http.get("/v1/reactions", headers=KEY).json()["reactions"]
    assert [each["action"] for each in found] == ["rollback", "nothing"]
    assert found[0]["detail"] == {"left": "4"}
    assert [each["what"] for each in found[0]["steps"]] == ["weights go back", "done"]
    one = served.http.get("/v1/reactions", params={"limit": 1}, headers=KEY).json()["reactions"]
    rest = served.http.get("/v1/reactions", params={"before": one[0]["id"]}, headers=KEY).json()["reactions"]
    assert [*one, *rest] == found
    other = served.http.get("/v1/reactions", params={"model": "other"}, headers=KEY).json()
    assert other == {"reactions": []}
    for wrong in ({"limit": 0}, {"limit": 1001}, {"before": 2**63}, {"model": "\0"}):
        assert served.http.get("/v1/reactions", params=wrong, headers=KEY).status_code == 422


def test_health_is_that_somebody_judges_and_metrics_are_for_everybody(served: Served) -> None:
    assert served.http.get("/healthz").status_code == 200
    assert served.http.get("/readyz").status_code == 200
    served.alive = False
    assert served.http.get("/healthz").status_code == 503
    assert "reaction_actions_total" in served.http.get("/metrics").text
