"""Who watches is watched: a Prometheus that is dead cannot say so, and the receiver of alerts does."""

import time

from client import Platform
from proofs import alarms, outages
from proofs.run import Check, proof
from proofs.subjects.monitoring_alerts import LOCAL, arrive
from workloads.receive_alerts.heart import ALERTNAME as DEATH

REMEMBERED = 240.0
"""Seconds for which Alertmanager may tell on what Prometheus says no more: four of its resend delays."""


@proof("monitoring")
def a_dead_prometheus_is_told_of(platform: Platform, check: Check) -> None:
    """Prometheus is gone: the receiver is told that the heartbeat has ended, raises an alert, and ends it
    when Prometheus is back.
    """
    if platform.name != LOCAL:
        check.skip("it takes Prometheus away for minutes")
    began = time.time()
    with outages.away(platform, [outages.OPERATOR]), outages.away(platform, [outages.PROMETHEUS]):
        arrive(platform, [DEATH], began, "firing", patience=REMEMBERED + 60)
        heart = alarms.heartbeat(platform)
        told = alarms.received(platform, began, "firing")[DEATH]
    silent = round(told - heart["last"], 1)
    check(not heart["alive"], "whoever asks for the heartbeat is told that it is missing")
    check(
        silent < heart["silence_seconds"],
        "it was told when Alertmanager said that the heartbeat has ended, and its silence not waited for",
        silent=silent,
    )
    arrive(platform, [DEATH], began, "resolved")
    check(alarms.heartbeat(platform)["alive"], "the heartbeat is back")
