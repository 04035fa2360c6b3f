"""One step of a rollout: waits for enough requests, and judges what the version did with them."""

import time
from dataclasses import replace

from client import judging, live, models
from client.judging import EARLY, FINAL, Counts, Limits
from client.platform import Platform
from client.rollout_record import Record
from infra import outputs

FEW = 0.5
"""The part of the requests that its share promises which a version must at least get."""
NO_GATEWAY = "answers at the Gateway (Prometheus has no series of its proxies)"
NO_OUTCOMES = "live accuracy (no outcome of these versions is known yet)"


class Unfit(Exception):
    """The version must not have the traffic; says why."""


class Judge:
    """Judges the steps of one rollout: `begin`, then `done` again and again until it says so."""

    def __init__(self, platform: Platform, model: str, record: Record, limits: Limits) -> None:
        self.platform, self.model, self.limits = platform, model, limits
        self.version, self.began = record.version, record.began
        self.stable = max(record.former, key=lambda version: record.former[version], default="")
        self.unknown: list[str] = []
        """What could not be judged, in words."""
        self.new = self.old = Counts()

    def begin(self, share: float) -> None:
        """Look before the weights are moved.

        Raises:
            Unfit: the counters cannot be read.
        """
        self.share = share / 100
        self.until = time.monotonic() + self.limits.patience
        self.new = self.old = Counts()
        self.unknown = []
        self.restarts = self._restarts()
        self.trouble = ""
        try:
            self.before = live.look(self.platform, self.model)
        except live.PrometheusAway as away:
            raise Unfit(f"nothing can be judged: {away.what}") from away

    def done(self) -> bool:
        """Whether the version has passed the step.

        Raises:
            Unfit: it has not, with the reason.
        """
        self._look_at_pods()
        try:
            now = live.look(self.platform, self.model)
        except live.PrometheusAway as away:
            self.trouble = f" ({away.what})"
            return self._late()
        self.trouble = ""
        self.new, self.old = (
            live.since(self.before, now, version) for version in (self.version, self.stable)
        )
        enough = self.new.requests >= self.limits.requests
        self._look_at_the_gateway(now, FINAL if enough else EARLY)
        if enough:
            self._look_at_outcomes()
        wrong = judging.complaints(self.new, self.old, self.limits, FINAL if enough else EARLY)
        if wrong:
            raise Unfit("; ".join(wrong))
        return enough or self._late()

    def summary(self) -> str:
        """What was seen, in a line."""
        compared = f", stable {_told(self.old)}" if self.old.requests else ""
        return f"{_told(self.new)}{compared}"

    def _late(self) -> bool:
        if time.monotonic() < self.until:
            self._require_its_share()
            return False
        waited = f"{self.limits.patience:g} s"
        if self.trouble:
            raise Unfit(f"it could not be judged within {waited}{self.trouble}")
        if self.new.requests == 0:
            raise Unfit(
                f"no traffic: it got 0 requests in {waited} at {100 * self.share:g} %; a version that nobody "
                "asked has proven nothing"
            )
        raise Unfit(
            f"too little traffic: {self.new.requests} of {self.limits.requests} requests in {waited} at "
            f"{100 * self.share:g} %"
        )

    def _require_its_share(self) -> None:
        """Many requests to the others and hardly one to the version: it is not reached."""
        together = self.new.requests + self.old.requests
        promised = self.share * together
        if self.share < 1 and promised >= 2 * self.limits.requests and self.new.requests < FEW * promised:
            raise Unfit(
                f"it is hardly reached: {self.new.requests} requests, where its share of {together} would be "
                f"{promised:.0f}"
            )

    def _look_at_the_gateway(self, now: live.Look, chance: float) -> None:
        seen = live.at_the_gateway(self.before, now)
        if seen is None:
            self._note(NO_GATEWAY)
        elif seen[0] and judging.at_least(seen[1], seen[0], self.limits.errors) < chance:
            raise Unfit(
                f"the model's error rate at the Gateway is over the limit of {self.limits.errors:.2%}: "
                f"{seen[1]} of {seen[0]} answers were 5xx"
            )

    def _look_at_outcomes(self) -> None:
        versions = [self.version, self.stable]
        known = live.outcomes(self.platform, self.model, versions, self.began)
        if not all(version in known for version in versions):
            self._note(NO_OUTCOMES)
            return
        (of_new, wrong), (of_old, wrong_old) = known[self.version], known[self.stable]
        self.new = replace(self.new, known=of_new, wrong=wrong)
        self.old = replace(self.old, known=of_old, wrong=wrong_old)

    def _look_at_pods(self) -> None:
        served = {entry.version: entry for entry in models.served(self.platform, self.model)}
        entry = served.get(self.version)
        if entry is None or not entry.ready:
            raise Unfit("its pods are not ready" if entry else "it is not served any more")
        if self._restarts() > self.restarts:
            raise Unfit("a pod of it was restarted")

    def _restarts(self) -> int:
        pods = self.platform.core.list_namespaced_pod(
            outputs.NAMESPACE_WORKLOADS,
            label_selector=f"{outputs.MODEL_LABEL}={self.model},{outputs.VERSION_LABEL}={self.version}",
        )
        return sum(
            status.restart_count for pod in pods.items for status in pod.status.container_statuses or []
        )

    def _note(self, what: str) -> None:
        if what not in self.unknown:
            self.unknown.append(what)


def _told(counts: Counts) -> str:
    if not counts.requests:
        return "no requests"
    p99 = counts.quantile(0.99)
    accuracy = f", {1 - counts.wrong / counts.known:.1%} of {counts.known} right" if counts.known else ""
    return f"{counts.requests} requests, {counts.failed} failed, p99 {1000 * p99:.0f} ms{accuracy}"
