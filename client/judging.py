"""Whether a new version of a model does as well as it must: from counts, by exact tests, and nothing else.

A check fails when its count is too high to be chance. While a step of a rollout still gathers requests it is
looked at again and again, and only what is all but impossible (`EARLY`) ends it; when there are enough, one
last look asks for more (`FINAL`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

EARLY, FINAL = 0.001, 0.05
"""How improbable a count must be, by chance alone, to fail a check."""
BEYOND = 0.01
"""The share of requests that may be slower than a limit on the 99th percentile."""


@dataclass(frozen=True)
class Limits:
    """What a new version must keep to."""

    requests: int = 100
    """That it must have answered in a step before the step is judged."""
    errors: float = 0.01
    """The share of its answers that may be 5xx."""
    p99_seconds: float = 1.0
    """The 99th percentile of its time for a request."""
    p99_ratio: float = 2.0
    """The same, as a multiple of the stable version's."""
    patience: float = 300.0
    """Seconds that a step waits for its requests."""


@dataclass(frozen=True)
class Counts:
    """What a version did since a step began."""

    requests: int = 0
    failed: int = 0
    """Answers 5xx."""
    refused: int = 0
    """Answers 4xx: the request did not fit. More than of the stable version are the version's fault."""
    within: Mapping[float, int] = field(default_factory=dict)
    """Requests that took at most so many seconds, by the edges of the histogram."""
    known: int = 0
    """Decisions whose outcome is known."""
    wrong: int = 0
    """Those that were wrong."""

    @property
    def error_rate(self) -> float:
        return self.failed / self.requests if self.requests else 0.0

    def slower_than(self, seconds: float) -> tuple[float, int, int]:
        """`(edge, slower, of)`: requests that took longer than the first edge at or above `seconds`."""
        timed = max(self.within.values(), default=0)
        edges = [edge for edge in sorted(self.within) if edge >= seconds]
        edge = edges[0] if edges else math.inf
        return edge, timed - self.within.get(edge, timed), timed

    def quantile(self, which: float) -> float:
        """Seconds, linear between the edges of the histogram as Prometheus has it; NaN without requests."""
        timed = max(self.within.values(), default=0)
        if not timed:
            return math.nan
        below, edge_below = 0, 0.0
        for edge in sorted(self.within):
            count = self.within[edge]
            if count >= which * timed and count > below:
                if math.isinf(edge):
                    return edge_below
                return edge_below + (edge - edge_below) * (which * timed - below) / (count - below)
            below, edge_below = count, edge
        return edge_below


def complaints(new: Counts, stable: Counts, limits: Limits, chance: float) -> list[str]:
    """What is wrong with the new version; empty where nothing is more than chance."""
    found = [*_answers(new, stable, limits, chance), *_times(new, stable, limits, chance)]
    if new.known and stable.known:
        p = more_than(new.wrong, new.known, stable.wrong, stable.known)
        if p < chance:
            ours, theirs = (_part(each.known - each.wrong, each.known) for each in (new, stable))
            found.append(f"its live accuracy is worse than the stable version's: {ours} against {theirs}")
    return found


def _answers(new: Counts, stable: Counts, limits: Limits, chance: float) -> list[str]:
    found = []
    if new.requests and at_least(new.failed, new.requests, limits.errors) < chance:
        found.append(
            f"its error rate is over the limit of {limits.errors:.2%}: {_part(new.failed, new.requests)} "
            "answers were 5xx"
        )
    for what, ours, theirs in (("5xx", new.failed, stable.failed), ("4xx", new.refused, stable.refused)):
        if not (new.requests and stable.requests):
            continue
        if more_than(ours, new.requests, theirs, stable.requests) < chance:
            found.append(
                f"it answers {what} more often than the stable version: {_part(ours, new.requests)} against "
                f"{_part(theirs, stable.requests)}"
            )
    return found


def beyond(new: Counts, stable: Counts, limits: Limits) -> str:
    """Why no time of the version's can be over a limit; empty where one can.

    Servers tell times apart only up to the last edge of their histogram.
    """
    least = min(bound for bound, _ in _bounds(stable, limits))
    last = max((edge for edge in new.within if math.isfinite(edge)), default=math.inf)
    if least <= last:
        return ""
    return f"times (a limit of {least:.3g} s is above {last:g} s, the longest that servers tell apart)"


def _bounds(stable: Counts, limits: Limits) -> list[tuple[float, str]]:
    """Seconds that the p99 may take, and by which reason."""
    bounds = [(limits.p99_seconds, "")]
    if sum(stable.within.values()) and stable.requests >= limits.requests:
        theirs = stable.quantile(0.99)
        bounds.append(
            (limits.p99_ratio * theirs, f", {limits.p99_ratio:g} × the stable version's {theirs:.3g} s")
        )
    return bounds


def _times(new: Counts, stable: Counts, limits: Limits, chance: float) -> list[str]:
    found = []
    for bound, why in _bounds(stable, limits):
        edge, slower, timed = new.slower_than(bound)
        if timed and at_least(slower, timed, BEYOND) < chance:
            slow = f"{_part(slower, timed)} requests took more than {edge:g} s"
            found.append(f"its p99 is over {bound:.3g} s{why}: {slow}")
    return found


def _part(count: int, whole: int) -> str:
    return f"{count} of {whole} ({count / whole:.1%})"


def at_least(hits: int, trials: int, rate: float) -> float:
    """P(X ≥ hits) for X ~ Binomial(trials, rate); 1 where `hits` is no more than is to be expected."""
    from scipy.stats import binom

    return 1.0 if hits <= trials * rate else float(binom.sf(hits - 1, trials, rate))


def more_than(hits: int, trials: int, other_hits: int, other_trials: int) -> float:
    """Fisher's exact test, one-sided: P(at least `hits` of all hits fall to the first group) if both have the
    same rate; 1 where the first group's rate is not the higher one.
    """
    from scipy.stats import hypergeom

    if hits * other_trials <= other_hits * trials:
        return 1.0
    return float(hypergeom.sf(hits - 1, trials + other_trials, hits + other_hits, trials))
