"""How long it takes, at most, until what goes wrong is in a sample and an alert's expression begins to hold.

That is inherent: no setting of the alert makes it shorter. A section of docs/reference/alerts.md.
"""

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import workloads
from infra import alerts
from infra.components.monitoring.settings import MonitoringSettings
from infra.settings import LOCAL, of_stack_file
from workloads.receive_alerts import config as receiver
from workloads.ship_predictions import config as shipper
from workloads.watch_drift import config as watch

TIMEOUT = 10.0
"""Seconds that Prometheus waits for a page, unless it reads pages more often than that."""
DISCOVERY = 10.0
"""Seconds: Prometheus passes on what it hears of targets every five, and takes it up every five."""
VOLUMES = 120.0
"""Seconds: a kubelet looks at each volume a minute after it did last, and up to another by lot."""
STALE = 2.1
"""Scrapes after which the series of a target end that is gone."""
GRACE, TOLERATION = 55, 300
"""Seconds after which Kubernetes calls a silent node unreachable, and after which it replaces its pods."""
IMAGE = "registry.test/workloads:1"

INTRODUCTION = """
## When an alert arrives

Counted from the first sample that violates, 19 of 20 alerts are at the receiver within scrape + evaluation +
`for` + group wait: {usual} s and `for` where a stack says nothing else ({usual_sum}), {local} s on `local`
({local_sum}), where it must be {at_most} s at most. The proofs below measure it; their report has the figures
of each alert.

What goes wrong is not in a sample at once. The time until it is, and the expression begins to hold, is
inherent: no setting of the alert makes it shorter. The most that it takes, by what the alert looks at:

| looks at | what takes the time | default | local | alerts |
| --- | --- | --- | --- | --- |"""
AFTERWARDS = """
A share that is just over its limit takes its whole window, and two scrapes. Where a monitor has a pace of its
own (`interval`), as those of most workloads have, that stands in the place of the stack's scrapes.

**A lost node** answers nobody: TargetDown tells of its kubelet and its node_exporter, and whatever looks at
`up` of what ran there, after a scrape and its timeout as above. Kubernetes calls the node unreachable after
{grace} s (`--node-monitor-grace-period` and `--node-monitor-period` as they come, on `local` too), takes its
pods out of Services then, and replaces those of Deployments {toleration} s later. No alert waits for that;
but until the first of them requests that a Service sends there fail, which RouteErrors tells.

**Watchdog** always holds. That it does not arrive is told by the receiver, after {silence:g} s."""


@dataclass(frozen=True)
class Pace:
    """How often Prometheus looks, in seconds."""

    scrape: float
    group_wait: float
    longest_for: float | None

    @classmethod
    def of(cls, settings: MonitoringSettings) -> "Pace":
        longest = settings.prometheus.longest_for
        return cls(
            alerts.seconds(settings.prometheus.scrape_interval),
            alerts.seconds(settings.alertmanager.group_wait),
            alerts.seconds(longest) if longest else None,
        )

    @property
    def timeout(self) -> float:
        return min(TIMEOUT, self.scrape)

    @property
    def parts(self) -> list[float]:
        """Scrape, evaluation (as often), `for` where the stack limits it, and group wait."""
        held = [] if self.longest_for is None else [self.longest_for]
        return [self.scrape, self.scrape, *held, self.group_wait]


@dataclass(frozen=True)
class Source:
    """What some alerts look at."""

    pattern: str
    """Found in the expressions of just these, if in none of a source before."""
    what: str
    why: str
    seconds: Callable[[Pace, str], float]
    """At most, for an expression."""


def _share(pace: Pace, expression: str) -> float:
    """Where all requests fail: the part of the window that is the limit, and two scrapes."""
    (limit,) = re.findall(r"> (0\.\d+)$", expression)
    return float(limit) * _window(expression) + 2 * pace.scrape


def _window(expression: str) -> float:
    """Seconds that it looks back, by itself or by what was recorded."""
    return alerts.seconds(re.findall(r"(?:\[|:ratio_rate)(\d+[smh])", expression)[0])


def _limit(expression: str) -> float:
    """The last plain number that something is compared with."""
    return float(re.findall(r"> (\d+)\b(?! \*)", expression)[-1])


def _unlooked(_: Pace, expression: str) -> float:
    """How long the drift watch may be without a look."""
    ((rounds, more),) = re.findall(r"> (\d+) \* drift_every_seconds.* \+ (\d+)", expression)
    return float(rounds) * watch.reference().every + float(more)


def _interval(workload: str) -> float:
    """Seconds between two scrapes of a workload that says so itself."""
    (monitor,) = [each for each in workloads.manifest(workload, IMAGE) if each["kind"] == "PodMonitor"]
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    return alerts.seconds(endpoint["interval"])


SOURCES = (
    Source(
        r"absent\(up",
        "`up` of a server, which may be gone",
        f"a scrape and its timeout, or {STALE} scrapes until the series of a pod that is gone end",
        lambda pace, _: max(pace.scrape + pace.timeout, STALE * pace.scrape),
    ),
    Source(
        r"^up\b",
        "`up` of a target that there is",
        "a scrape and its timeout",
        lambda pace, _: pace.scrape + pace.timeout,
    ),
    Source(
        r"prober_probe_total",
        "successful probes, which the kubelet counts",
        "the window, from the last probe that succeeded: the probe's own period is within it",
        lambda _, expression: _window(expression),
    ),
    Source(
        r":ratio_rate|node_pressure",
        "a share over a window",
        "where everything fails, the limit's part of the window, and two scrapes",
        _share,
    ),
    Source(
        r"kubelet_volume_stats",
        "the room of a volume",
        "a kubelet looks every one to two minutes; a scrape",
        lambda pace, _: VOLUMES + pace.scrape,
    ),
    Source(
        r"scrape_pool_targets",
        "the targets that Prometheus has found",
        f"{DISCOVERY:g} s until it knows; a scrape of itself",
        lambda pace, _: DISCOVERY + pace.scrape,
    ),
    Source(
        r"rule_evaluation_failures",
        "evaluations that fail",
        "an evaluation and a scrape of itself",
        lambda pace, _: 2 * pace.scrape,
    ),
    Source(
        r"^(node|certmanager)_|^abs\(node_|\bincrease\(trino_",
        "a figure or a count as it is now",
        "a scrape",
        lambda pace, _: pace.scrape,
    ),
    Source(
        r"^drift_changed",
        "verdicts of the drift watch",
        "between two looks (`every`), and a scrape of its own pace; the look itself comes on top",
        lambda *_: watch.reference().every + _interval("watch_drift"),
    ),
    Source(
        r"^drift_starved",
        "looks of the drift watch",
        "the time without one that the rule allows; that nothing new comes is a verdict like others",
        _unlooked,
    ),
    Source(
        r"feedback_lag",
        "the age of what is not in the lake",
        "the limit itself, and a scrape of its own pace",
        lambda _, expression: _limit(expression) + _interval("ship_predictions"),
    ),
    Source(
        r"live_accuracy",
        "the live quality of versions",
        "a round of the shipper (`every`), and a scrape of its own pace, once outcomes say it surely",
        lambda *_: shipper.reference().every + _interval("ship_predictions"),
    ),
    Source(
        r"reaction_last_look",
        "the reaction's looks; its failed actions take a scrape of its own pace, open ones four hours",
        "the limit itself",
        lambda _, expression: _limit(expression),
    ),
)


def source_of(expression: str) -> Source:
    """What an alert with this expression looks at.

    Raises:
        LookupError: nobody has said how long that takes.
    """
    for source in SOURCES:
        if re.search(source.pattern, expression.strip()):
            return source
    raise LookupError(
        f"how long does it take until this can hold?\n  {expression}\n"
        "  what to do: add what it looks at to SOURCES in seatrial/detection.py"
    )


def section(rules: Sequence[dict[str, Any]], at_most: float, heartbeat: str) -> Iterator[str]:
    """The lines of the page about these alerts; `at_most` are the seconds that `local` allows."""
    usual, local = Pace.of(MonitoringSettings()), Pace.of(of_stack_file(LOCAL).monitoring)
    yield INTRODUCTION.format(
        usual=f"{sum(usual.parts):g}",
        usual_sum=_sum(usual),
        local=f"{sum(local.parts):g}",
        local_sum=_sum(local),
        at_most=f"{at_most:g}",
    )
    found = [(source_of(rule["expr"]), rule) for rule in rules if rule["alert"] != heartbeat]
    for source in SOURCES:
        own = [rule for each, rule in found if each is source]
        if not own:
            continue
        links = ", ".join(f"[{rule['alert']}](../runbooks/{rule['alert']}.md)" for rule in own)
        times = (_span(source, pace, own) for pace in (usual, local))
        yield f"| {source.what} | {source.why} | {' | '.join(times)} | {links} |"
    yield AFTERWARDS.format(grace=GRACE, toleration=TOLERATION, silence=receiver.reference().silence_seconds)


def _sum(pace: Pace) -> str:
    scrape, evaluation, *held, wait = (f"{part:g}" for part in pace.parts)
    return " + ".join([scrape, evaluation, *(held or ["`for`"]), wait])


def _span(source: Source, pace: Pace, rules: Sequence[dict[str, Any]]) -> str:
    """`33 s`, or `33 to 75 s` where it depends on the alert."""
    found = sorted({math.ceil(source.seconds(pace, rule["expr"])) for rule in rules})
    return f"{found[0]} s" if len(found) == 1 else f"{found[0]} to {found[-1]} s"
