"""What else goes wrong is told: each alert that Prometheus has loaded is caused, or is missed by name."""

import time

from client import Platform
from client.waiting import until
from proofs import alarms, causes, causes_objects, probe, scene
from proofs.exporter import PATIENCE as TO_BE_READ
from proofs.run import Check, proof
from proofs.subjects.monitoring_alerts import LOCAL, arrive, judge, quiet

TO_END = 900
"""Seconds until all alerts are over: windows of ten minutes are in some of them."""


@proof("monitoring")
def every_other_alert_is_told_of(platform: Platform, check: Check) -> None:
    """Each alert that is loaded has a cause; what is not about a dead server is caused here, fires and
    arrives at the receiver in time, and so does its end.
    """
    if platform.name != LOCAL:
        check.skip("it makes requests, queries and certificates fail, and reports full disks")
    loaded = set(alarms.rules(platform))
    check.equal(causes.uncaused(loaded), set(), "each loaded alert has a cause")
    causes_objects.clear(platform)
    brought = causes.brought(probe.workload_image(platform))
    with scene.prepared(platform, brought, serving="RouteErrors" in loaded) as prepared:
        causes.calm(prepared)
        more = causes.alerts_of(brought)
        until(lambda: more <= set(alarms.rules(platform)), "the rules of workloads to be read", TO_BE_READ)
        quiet(platform, TO_END)
        told_of(prepared, check, {alert for alert in causes.CAUSES if alert in loaded | more})


def told_of(prepared: scene.Scene, check: Check, expected: set[str]) -> None:
    """These alerts arrive when their causes begin, and end with them."""
    platform, began = prepared.platform, time.time()
    with causes.begun(prepared, expected):
        arrive(platform, expected, began, "firing")
        ways = alarms.ways(platform, sorted(expected), began)
    judge(check, ways)
    arrive(platform, expected, began, "resolved", TO_END)
    check(not (alarms.firing(platform) & expected), "none of them fires any more")
