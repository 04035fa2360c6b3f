"""Alerts do not cry wolf: under ordinary load none is told."""

import time
from collections.abc import Collection
from dataclasses import asdict

from kubernetes import client as k8s

from client import Platform
from client.waiting import until
from proofs import alarms, causes, causes_objects, load, probe, scene
from proofs.alarms import Fired
from proofs.exporter import PATIENCE as TO_BE_READ
from proofs.recorded import recorded
from proofs.run import Check, proof
from proofs.subjects.monitoring_alerts import LOCAL
from proofs.subjects.monitoring_causes import TO_END

MINUTES = 30.0
"""How long the load lasts."""
STILL = 30.0
"""Seconds without any alert before the load begins."""
EVERY = 5.0
"""Seconds between two looks; each is at all that was since the beginning."""
ENOUGH = 0.9
"""The share of the planned requests that must be made, and of the time in which the heart must beat."""


@proof("monitoring")
def half_an_hour_of_load_raises_no_alarm(platform: Platform, check: Check) -> None:
    """While users query, log runs, keep objects and rows and ask a model for half an hour, each answer is
    right, and no alert fires but the heartbeat, not for a moment.
    """
    if platform.name != LOCAL:
        check.skip("it makes load for half an hour, and brings rules of its own")
    causes_objects.clear(platform)
    brought = causes.brought(probe.workload_image(platform))
    with scene.prepared(platform, brought, serving=False) as prepared, load.prepared(platform) as kinds:
        causes.calm(prepared)
        loaded(platform, check, causes.alerts_of(brought))
        still(platform)
        began, seconds = time.time(), 60 * MINUTES
        with load.begun(kinds, seconds) as tallies:
            first = watched(platform, began, seconds)
        ended = time.time()
        # Only pending is no alarm, and worth to know.
        check.attach("pending", alarms.pending(platform, began, ended))
        check.attach("recorded", recorded(platform, began, ended))
        judge(check, first or alarms.fired(platform, began, ended), tallies)
        alive(platform, check, began, ended)


def loaded(platform: Platform, check: Check, brought: Collection[str]) -> None:
    """Prometheus has all alerts that there are, those of workloads too."""
    custom = k8s.CustomObjectsApi(platform.api)
    items = custom.list_cluster_custom_object("monitoring.coreos.com", "v1", "prometheusrules")["items"]
    rules = [rule for item in items for group in item["spec"]["groups"] for rule in group["rules"]]
    wanted = {rule["alert"] for rule in rules if "alert" in rule} | set(brought)
    until(
        lambda: wanted <= set(alarms.rules(platform)),
        lambda: f"{', '.join(sorted(wanted - set(alarms.rules(platform))))} to be loaded",
        TO_BE_READ,
    )
    check(True, f"all {len(wanted)} alerts are loaded")
    check.attach("loaded", sorted(wanted))


def still(platform: Platform) -> None:
    """Nothing fires and nothing waits to: what comes later comes of the load. Series are asked for, as later,
    because one of a rule that was taken away goes on for some seconds.
    """

    def left() -> str:
        now = time.time()
        fired = {each.alert for each in alarms.fired(platform, now - STILL, now)}
        waits = {each["alertname"] for each in alarms.pending(platform, now - STILL, now)}
        return ", ".join(sorted(fired | waits))

    until(
        lambda: not left(),
        lambda: f"no alert to fire or wait for {STILL:g} s; there are {left()}",
        TO_END,
        every=2,
    )


def watched(platform: Platform, began: float, seconds: float) -> list[Fired]:
    """What fires, as soon as something does; nothing after so many seconds."""
    while not (found := alarms.fired(platform, began, time.time())) and time.time() < began + seconds:
        time.sleep(EVERY)
    return found


def judge(check: Check, fired: list[Fired], tallies: dict[str, load.Tally]) -> None:
    """Nothing fired, and each request was made and answered as it should be."""
    check.attach("load", {name: asdict(tally) for name, tally in tallies.items()})
    check.attach("fired", [asdict(each) for each in fired])
    wrong = {name: tally.said for name, tally in tallies.items() if tally.failed}
    check(not fired, "no alert fires under load", fired="; ".join(map(str, fired)), wrong_answers=wrong)
    for name, tally in tallies.items():
        check(not tally.failed, f"all {tally.asked} {name} were answered right", **asdict(tally))
        enough = 0 < ENOUGH * tally.planned <= tally.asked
        check(enough, f"the load had its {name}", planned=tally.planned, asked=tally.asked)


def alive(platform: Platform, check: Check, began: float, ended: float) -> None:
    """Silence meant something: rules were evaluated all the time."""
    beats = alarms.series(platform, f'ALERTS{{alertname="{alarms.HEARTBEAT}"}}', began, ended)
    seconds = max((len(each["values"]) for each in beats), default=0)
    least = ENOUGH * (ended - began)
    check(seconds >= least, f"the heartbeat was there for {least:.0f} s at least", seconds=seconds)
