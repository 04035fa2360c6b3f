"""What goes wrong is told: caused here, and seen on its whole way, from the sample to the receiver."""

import time
from collections.abc import Collection, Sequence

import numpy as np

from client import Platform
from client.waiting import until
from proofs import alarms, outages
from proofs.alarms import Told
from proofs.run import Check, proof

LOCAL = "local"
PATIENCE = 360
"""Seconds until all alerts arrived. Windows of two minutes are in some of them."""
AT_MOST = 20.0
"""Seconds from the sample to the receiver, with the settings of the local stack."""


@proof("monitoring")
def every_dead_server_is_told_of(platform: Platform, check: Check) -> None:
    """Whatever server is gone, its alert fires and arrives at the receiver in time, and so does its end."""
    if platform.name != LOCAL:
        check.skip("it takes every server of the platform away for minutes")
    servers = outages.there(platform)
    expected = {*servers, outages.WITHOUT_TARGETS}
    quiet(platform)
    began = time.time()
    with outages.away(platform, servers.values()):
        arrive(platform, expected, began, "firing")
        ways = alarms.ways(platform, sorted(expected), began)
    judge(check, ways)
    arrive(platform, expected, began, "resolved")
    check(not (alarms.firing(platform) & expected), "none of them fires any more")


def judge(check: Check, ways: Sequence[Told]) -> None:
    """Each waited before it fired, and nearly all arrived as soon as they must."""
    check.attach("alerts", [way.figures() for way in ways])
    for way in ways:
        check(way.pending, f"{way.alert} waited before it fired")
    late = {way.alert: round(way.took, 1) for way in ways if way.took > way.allowed}
    share = len(late) / len(ways)
    check(share <= 0.05, "19 of 20 alerts arrived in the time that the settings allow", late=late)
    p95 = float(np.quantile([way.took for way in ways], 0.95))
    check(p95 <= AT_MOST, f"19 of 20 alerts arrived within {AT_MOST:g} s", p95=round(p95, 1))


def quiet(platform: Platform, patience: float | None = None) -> None:
    """Wait until nothing fires that was caused before; `patience` is PATIENCE where nothing is said."""
    until(
        lambda: not alarms.firing(platform),
        lambda: f"nothing to fire; there are {', '.join(sorted(alarms.firing(platform)))}",
        PATIENCE if patience is None else patience,
        every=2,
    )


def arrive(
    platform: Platform, expected: Collection[str], since: float, status: str, patience: float | None = None
) -> None:
    """Wait until each of these alerts was received as `status`, for PATIENCE where nothing else is said."""

    def missing() -> set[str]:
        return set(expected) - set(alarms.received(platform, since, status))

    until(
        lambda: not missing(),
        lambda: f"{', '.join(sorted(missing()))} to be received as {status}",
        PATIENCE if patience is None else patience,
        every=2,
    )
