"""The dead man's switch: no heartbeat is an alarm, and one that Prometheus cannot raise itself."""

import json
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from workloads.common import log
from workloads.receive_alerts.config import ReceiveAlerts
from workloads.receive_alerts.schemas import Heartbeat

ALERTNAME = "WatchingIsDead"
PATIENCE = 5.0
"""Seconds that who is told may take to answer."""


class Heart:
    """Whether the heartbeat is there; who is to be told is told of each change once.

    `last` is when it arrived before this program started, in seconds since 1970.
    """

    def __init__(
        self,
        settings: ReceiveAlerts,
        last: float | None,
        tell: Callable[[str, dict[str, Any]], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.settings, self.last, self.tell, self.now = settings, last, tell, now
        self.began = now()
        self.alive = True
        self.told = True
        """Whether who is to be told knows how it is."""

    def beat(self) -> None:
        self.last = self.now()

    def state(self) -> Heartbeat:
        return Heartbeat(
            alive=self.missing() <= self.settings.silence_seconds,
            last=self.last,
            silence_seconds=self.settings.silence_seconds,
        )

    def missing(self) -> float:
        """Seconds without it; from the start of the program on, since it cannot have arrived before that."""
        return self.now() - max(self.last or 0.0, self.began)

    def look(self) -> None:
        """Say that the watching is dead, or alive again; what could not be told is told at the next look."""
        alive = self.state().alive
        if alive != self.alive:
            # Back before anyone was told that it was gone: there is nothing to tell.
            self.alive, self.told = alive, not self.told
            log("heartbeat is back" if alive else "no heartbeat: the watching is dead", last=self.last)
        if not self.told and self.settings.notify_url:
            try:
                self.tell(self.settings.notify_url, self.notification())
                self.told = True
            except OSError as error:
                log("could not tell", whom=self.settings.notify_url, cause=f"'{error}'")

    def notification(self) -> dict[str, Any]:
        """As Alertmanager would send it, so that whoever is told needs no other door."""
        status = "resolved" if self.alive else "firing"
        labels = {"alertname": ALERTNAME, "severity": "critical"}
        summary = f"No heartbeat from Alertmanager for {self.settings.silence_seconds:g} s"
        alert = {
            "status": status, "labels": labels,
            "annotations": {"summary": summary, "runbook_url": "docs/runbooks/Watchdog.md"},
        }  # fmt: skip
        return {
            "version": "4", "status": status, "receiver": "dead-mans-switch", "groupLabels": {},
            "commonLabels": labels, "commonAnnotations": alert["annotations"], "alerts": [alert],
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
