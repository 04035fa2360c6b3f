"""The dead man's switch: no heartbeat is an alarm, and one that Prometheus cannot raise itself."""

import hashlib
import json
import sqlite3
import time
import urllib.request
from collections.abc import Callable, Collection
from datetime import UTC, datetime
from typing import Any

from workloads.common import log
from workloads.receive_alerts.config import ReceiveAlerts
from workloads.receive_alerts.schemas import Alert, Heartbeat

ALERTNAME = "WatchingIsDead"
PATIENCE = 5.0
"""Seconds that who is told may take to answer."""
NEVER = datetime(1, 1, 1, tzinfo=UTC)
"""When an alert ends that fires still, as Alertmanager says it."""


class Listener:
    """Is told of each change once; what could not be told is told at the next look.

    `tell` raises OSError or sqlite3.Error where it did not arrive.
    """

    def __init__(self, name: str, tell: Callable[[Alert], None]) -> None:
        self.name, self.tell = name, tell
        self.heard = "resolved"

    def hear(self, alert: Alert) -> None:
        # Back before it was told that it was gone: there is nothing to tell.
        if alert.status == self.heard:
            return
        try:
            self.tell(alert)
            self.heard = alert.status
        except (OSError, sqlite3.Error) as error:
            log("could not tell", whom=self.name, cause=f"'{error}'")


class Heart:
    """Whether the heartbeat is there; the listeners are told when it is missing and when it is back.

    `last` is when it arrived before this program started, in seconds since 1970.
    """

    def __init__(
        self,
        settings: ReceiveAlerts,
        last: float | None,
        listeners: Collection[Listener],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings, self.last, self.listeners, self.now = settings, last, listeners, now
        self.began = now()
        self.over = False
        """Whether Alertmanager said that it has ended: it lives, and what should evaluate rules does not."""
        self.alarm: Alert | None = None
        """What was said last of the heartbeat; nothing while it never was missing."""

    def beat(self) -> None:
        self.last, self.over = self.now(), False

    def end(self) -> None:
        self.over = True

    def state(self) -> Heartbeat:
        return Heartbeat(
            alive=not self.over and self.missing() <= self.settings.silence_seconds,
            last=self.last,
            silence_seconds=self.settings.silence_seconds,
        )

    def missing(self) -> float:
        """Seconds without it; from the start of the program on, since it cannot have arrived before that."""
        return self.now() - max(self.last or 0.0, self.began)

    def look(self) -> None:
        """Say that the watching is dead, or alive again."""
        firing = self.alarm is not None and self.alarm.status == "firing"
        alive = self.state().alive
        if alive and firing:
            log("heartbeat is back", last=self.last)
            self.alarm = self.alarm.model_copy(update={"status": "resolved", "endsAt": self._date()})
        elif not alive and not firing:
            self.alarm = self._death()
            log("no heartbeat: the watching is dead", last=self.last, cause=self._cause())
        if self.alarm is not None:
            for listener in self.listeners:
                listener.hear(self.alarm)

    def _death(self) -> Alert:
        return Alert(
            status="firing",
            labels={"alertname": ALERTNAME, "severity": "critical"},
            annotations={
                "summary": self._cause(),
                "runbook_url": "docs/runbooks/Watchdog.md",
            },
            startsAt=self._date(),
            endsAt=NEVER,
            fingerprint=hashlib.sha256(ALERTNAME.encode()).hexdigest()[:16],
        )

    def _cause(self) -> str:
        if self.over:
            return "The heartbeat has ended: Prometheus does not tell Alertmanager of any alert"
        return f"No heartbeat from Alertmanager for {self.settings.silence_seconds:g} s"

    def _date(self) -> datetime:
        return datetime.fromtimestamp(self.now(), UTC)


def notification(alert: Alert) -> dict[str, Any]:
    """As Alertmanager would send it, so that whoever is told needs no other door."""
    return {
        "version": "4", "groupKey": f'{{alertname="{alert.name}"}}', "status": alert.status,
        "receiver": "dead-mans-switch", "groupLabels": {}, "commonLabels": alert.labels,
        "commonAnnotations": alert.annotations, "externalURL": "", "alerts": [alert.model_dump(mode="json")],
    }  # fmt: skip


def post(url: str, body: dict[str, Any]) -> None:
    """POST as JSON.

    Raises:
        OSError: there was no answer, or one that is no 2xx.
    """
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"content-type": "application/json"}, method="POST"
    )
    urllib.request.urlopen(request, timeout=PATIENCE).close()
