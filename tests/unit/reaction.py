"""A trail of reactions for tests, and time that only a test moves."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from react.decide import Alert, decide_all
from react.policy import parse
from react.trail import Reaction, Trail

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = parse("""
cooldown: 1h
per_day: 3
rules:
  - name: bad version
    match: {alertname: [ModelFails, ModelSlow], severity: critical}
    action: rollback
    after: 2m
  - name: drift
    match: {alertname: ModelDrifts}
    action: retrain
  - name: others
    match: {severity: critical}
    action: page
""")


class Clock:
    """Minutes since BEGAN."""

    def __init__(self) -> None:
        self.minutes = 0.0

    def __call__(self) -> datetime:
        return at(self.minutes)


def at(minutes: float) -> datetime:
    return BEGAN + timedelta(minutes=minutes)


def alert(name: str = "ModelFails", since: float = 0, **labels: str) -> Alert:
    """One that began so many minutes after BEGAN; a label that is empty is not there."""
    labels = {"alertname": name, "severity": "critical", "model": "delay", "version": "4"} | labels
    fingerprint = "/".join(f"{key}={labels[key]}" for key in sorted(labels))
    return Alert(fingerprint, {key: value for key, value in labels.items() if value}, at(since), at(since))


def tell(trail: Trail, *alerts: Alert) -> None:
    """Alertmanager says so now."""
    now = trail.clock()
    trail.tell([(replace(each, seen_at=now), {"summary": "x"}) for each in alerts])


def decide(trail: Trail) -> list[Reaction]:
    return trail.decide(POLICY, decide_all)
