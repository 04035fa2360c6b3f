"""Rollouts: a version of a model gets its traffic step by step, is judged between the steps, and loses it
again when it does not do well.

What stands where is in an annotation of the model's HTTPRoute. A rollout that is interrupted leaves the
weights of its last good step; the same call goes on from there. One that is killed leaves the step that it
was in, which the next call judges anew; `rollback` ends it.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from kubernetes import client as k8s

from client import live, traffic
from client.errors import ClientError
from client.judging import Limits
from client.platform import Platform
from client.progress import Progress, Silent
from client.rollout_record import CANARY, ROLLED_BACK, STABLE, STOPPED, Record, record_of
from client.rollout_step import Judge, Unfit, silence
from client.traffic import STEERED, Route
from client.warming import require_answering, require_counted, require_ready, retire
from infra import outputs

STEPS: dict[str, tuple[float, ...]] = {CANARY: (1, 5), STABLE: (1, 5, 25, 50, 100)}
"""Percent of the requests, by what is aimed at."""
LEAST = 100 / traffic.TOTAL
"""The smallest of them that a weight can say."""
POLL = 3.0
"""Seconds between two looks."""
SILENCE = 5 * POLL
"""Seconds without a beat after which nobody works on a rollout any more."""


class Superseded(ClientError):
    """Another call has taken this rollout over, or somebody has changed the weights."""


def promote(
    platform: Platform,
    model: str,
    version: str,
    *,
    to: str = CANARY,
    steps: Sequence[float] | None = None,
    limits: Limits | None = None,
    keep: bool = False,
    progress: Progress | None = None,
) -> Record:
    """Give the version its traffic, step by step; the record's `ended` is `to`, or `rolled back` and why.

    When it has become stable the versions before are taken away, once no rule names them and they get no
    requests, unless they are to be kept.

    Raises:
        ClientError: it is not served, does not answer, another rollout is under way, or the bandit steers.
        KeyboardInterrupt: after the weights of the last good step were put back.
    """
    progress, steps = progress or Silent(), fitting(to, steps)
    before = live.look(platform, model)
    require_answering(platform, model, version, progress)
    require_counted(platform, model, version, before)
    route = traffic.read(platform, model)
    if route is None:
        record = _first(platform, model, version, to, progress)
    else:
        record = _begin(platform, route, version, to, steps, progress)
    if not record.ended:
        record = _Rollout(platform, model, record, limits or Limits(), progress).run()
    if record.ended == STABLE and not keep:
        retire(platform, model, sorted(record.former), progress)
    return record


def rollback(
    platform: Platform, model: str, *, version: str | None = None, reason: str = "by hand"
) -> Record:
    """Give back the weights from before the last rollout, at once; one that is under way is ended.

    With `version`, only if that is the version whose rollout it was. `reason` is kept in the record.

    Raises:
        ClientError: there was none, it was of another version, or a version that would get traffic is not
            served any more, or not ready.
    """
    record = _to_take_back(traffic.require(platform, model), version)
    for former in record.former:
        # Not asked first: what had the traffic must get it back also while the object store, say, is away.
        require_ready(platform, model, former)

    def back(route: Route) -> Route:
        found = _to_take_back(route, version)
        ended = replace(found, id=_new_id(), ended=ROLLED_BACK, reason=reason)
        return ended.on(route.weighed(found.former))

    changed = traffic.change(platform, model, back)
    traffic.in_force(platform, changed)
    return record_of(changed) or record


def _to_take_back(route: Route, version: str | None) -> Record:
    """The rollout that a rollback ends or undoes.

    Raises:
        ClientError: there is none, or it is of another version.
    """
    record = record_of(route)
    if record is None or record.ended == ROLLED_BACK or not record.former:
        raise ClientError(
            f"there is no rollout of model '{route.name}' to take back",
            f"see what gets its traffic: seatrial model status {route.name}",
        )
    if version not in (None, record.version):
        raise ClientError(
            f"the last rollout of model '{route.name}' is of version {record.version}, not of {version}",
            f"see what gets its traffic: seatrial model status {route.name}",
        )
    return record


def shadow(platform: Platform, model: str, version: str | None, progress: Progress | None = None) -> Route:
    """Send a copy of each request of the default rule to this version, or to none; its answers go nowhere.

    Raises:
        ClientError: it is not served or does not answer, or gets requests of the default rule already.
    """
    if version is not None:
        require_answering(platform, model, version, progress or Silent())

    def make(route: Route) -> Route:
        if version in route.weights:
            raise ClientError(
                f"version {version} of {model} gets requests already; it would get some of them twice",
                "shadow a version that has no share of the traffic",
            )
        return route.shadowed(version)

    changed = traffic.change(platform, model, make)
    traffic.in_force(platform, changed)
    return changed


def divide(platform: Platform, model: str, variants: dict[str, str]) -> Route:
    """Send requests that carry the header `x-variant: <variant>` to the version of that variant.

    They take the place of the variants before; without any, all requests take the default rule.

    Raises:
        ClientError: a version is not served or does not answer.
    """
    for version in dict.fromkeys(variants.values()):
        require_answering(platform, model, version, Silent())
    changed = traffic.change(platform, model, lambda route: route.divided(variants))
    traffic.in_force(platform, changed)
    return changed


def fitting(to: str, steps: Sequence[float] | None) -> tuple[float, ...]:
    """The steps to an aim, percent.

    Raises:
        ClientError: they do not rise, begin below what a weight can say, or do not end where the aim is.
    """
    if to not in STEPS:
        raise ClientError(f"a version is promoted to canary or stable, not to '{to}'", "name one of them")
    chosen = tuple(float(step) for step in (STEPS[to] if steps is None else steps))
    chosen += (100.0,) if to == STABLE and chosen and chosen[-1] < 100 else ()
    rising = all(before < after for before, after in zip((0.0, *chosen), chosen, strict=False))
    if not chosen or not rising or chosen[0] < LEAST or chosen[-1] > (100 if to == STABLE else 99):
        raise ClientError(
            f"steps {', '.join(f'{step:g}' for step in chosen) or '(none)'} cannot lead to {to}",
            f"give rising percentages from {LEAST:g} on, e.g. 1,5,25; a canary keeps below 100",
        )
    return chosen


# --- how one begins -----------------------------------------------------------------------------------------


def _first(platform: Platform, model: str, version: str, to: str, progress: Progress) -> Record:
    """The first version gets everything: there is nothing that it could be compared with."""
    if to != STABLE:
        raise ClientError(
            f"model '{model}' has no stable version that a canary could stand beside",
            f"seatrial model promote {model} {version} --to stable",
        )
    record = Record(_new_id(), version, STABLE, (100.0,), {}, _now(), passed=1, ended=STABLE)
    traffic.in_force(platform, traffic.create(platform, record.on(traffic.new(model, version))))
    progress.say(f"    {model} version {version} is the first one and gets all requests")
    return record


def _begin(
    platform: Platform, route: Route, version: str, to: str, steps: tuple[float, ...], progress: Progress
) -> Record:
    """The record to go on with: a new one, the one that an interrupted call left, or one that is done."""
    _require_unsteered(platform, route)
    found = record_of(route)
    if found and not found.ended:
        _require_silent(platform, route.name, found)
        if (found.version, found.to) != (version, to):
            raise ClientError(
                f"the rollout of version {found.version} of {route.name} to {found.to} is not done",
                f"go on with it: seatrial model promote {route.name} {found.version} --to {found.to}; or end "
                f"it: seatrial model rollback {route.name}",
            )
        record = replace(found, id=_new_id())
        progress.say(
            f"    goes on with the rollout of {found.began}: {found.passed} of {len(found.steps)} steps done"
        )
    elif {of for of, weight in route.weights.items() if weight} == {version}:
        same = found is not None and (found.version, found.ended) == (version, STABLE)
        return found if same and found else Record("", version, STABLE, (100.0,), {}, _now(), 1, ended=STABLE)
    else:
        has = 100 * route.shares.get(version, 0.0)
        ahead = tuple(step for step in steps if step > has + 1e-6) or steps[-1:]
        former = traffic.with_share(route.weights, version, 0.0)
        former.pop(version, None)
        record = Record(_new_id(), version, to, ahead, former, _now())

    def take(now: Route) -> Route:
        if record_of(now) != found or now.weights != route.weights:
            raise Superseded(f"the traffic of {route.name} was changed meanwhile", "look and call again")
        return record.on(now.shadowed(None) if now.shadow == version else now)

    traffic.change(platform, route.name, take)
    return record


def _require_silent(platform: Platform, model: str, record: Record) -> None:
    """Refuse to take over a rollout that somebody works on: its beats are watched, no clocks compared."""
    until = time.monotonic() + SILENCE
    while time.monotonic() < until:
        now = record_of(traffic.require(platform, model))
        if now is None or now.ended or (now.id, now.beat) != (record.id, record.beat):
            raise ClientError(
                f"a rollout of version {record.version} of {model} is under way",
                f"wait for it (seatrial model status {model}), or end it: seatrial model rollback {model}",
            )
        time.sleep(POLL / 3)


def _require_unsteered(platform: Platform, route: Route) -> None:
    """Refuse while the bandit moves the weights; the note of one that is gone counts for nothing."""
    note = route.note(STEERED)
    if note is None:
        return
    namespace = outputs.NAMESPACE_WORKLOADS
    try:
        k8s.AppsV1Api(platform.api).read_namespaced_deployment(note["by"], namespace)
    except k8s.ApiException as error:
        if error.status != 404:
            raise
        return
    raise ClientError(
        f"Deployment {note['by']} moves the weights of {route.name}",
        f"stop it first: kubectl -n {namespace} delete deployment {note['by']}",
    )


# --- how one goes -------------------------------------------------------------------------------------------


class _Rollout:
    """A rollout that this process works on."""

    def __init__(
        self, platform: Platform, model: str, record: Record, limits: Limits, progress: Progress
    ) -> None:
        self.platform, self.model, self.record, self.progress = platform, model, record, progress
        self.judge = Judge(platform, model, record, limits)
        self.weights = traffic.require(platform, model).weights
        self.step = ""

    def run(self) -> Record:
        """All steps that are left, and the end."""
        try:
            for share in self.record.steps[self.record.passed :]:
                self._step(share)
            self._patiently(lambda: self._write(self.weights, ended=self.record.to))
        except KeyboardInterrupt:
            self._interrupted()
            raise
        except Unfit as unfit:
            self._back(str(unfit))
        except Superseded:
            raise
        except Exception as error:
            self._back(f"it could not be judged: {type(error).__name__}: {error}")
        return self.record

    def _step(self, share: float) -> None:
        self.step = f"{self.model} version {self.record.version} at {share:g} %"
        self.progress.begin(self.step)
        self._patiently(lambda: self.judge.begin(share))
        weights = traffic.with_share(self.record.former, self.record.version, share)
        self._patiently(lambda: self._write(weights))
        while not self.judge.done():
            time.sleep(POLL)
            self._patiently(self._beat)
        notes = tuple(dict.fromkeys((*self.record.notes, *self.judge.unknown)))
        passed = self.record.passed + 1
        self._patiently(lambda: self._write(self.weights, passed=passed, notes=notes))
        self._end(self.judge.summary())

    def _patiently(self, do: Callable[[], None]) -> None:
        """Do it, again and again while somebody does not answer, for as long as a step may take.

        Raises:
            Unfit: nobody answered all the time.
        """
        patience = self.judge.limits.patience
        until = time.monotonic() + patience
        while True:
            try:
                return do()
            except Exception as error:
                cause = silence(error)
                if not cause:
                    raise
                if time.monotonic() > until:
                    raise Unfit(f"it could not be judged within {patience:g} s: {cause}") from error
            time.sleep(POLL)

    def _end(self, note: str) -> None:
        """Of the step, if one was begun."""
        step, self.step = self.step, ""
        if step:
            self.progress.end(step, note)

    def _write(self, weights: dict[str, int], **changes: object) -> None:
        """The weights and what is now known, in one; waits until the Gateway has taken them."""
        weights = {version: weight for version, weight in weights.items() if weight}
        record = replace(self.record, beat=self.record.beat + 1, **changes)  # type: ignore[arg-type]
        # What goes back goes back in any case: a write whose answer was lost looks like somebody else's.
        changed = self._change(record, weights, anyway=record.ended == ROLLED_BACK)
        self.weights = weights
        traffic.in_force(self.platform, changed)

    def _beat(self) -> None:
        """Say that this is worked on, and see whether it is still ours."""
        self._change(replace(self.record, beat=self.record.beat + 1), self.weights)

    def _change(self, record: Record, weights: dict[str, int], *, anyway: bool = False) -> Route:
        """Write both, unless somebody else has changed the weights: then that is noted, and they stay."""

        def make(route: Route) -> Route:
            self._require_ours(route)
            # They may be the new ones already: of a write before, whose answer was lost.
            if not anyway and route.weights not in (self.weights, weights):
                reason = "somebody else changed the weights"
                return replace(self.record, beat=record.beat, ended=STOPPED, reason=reason).on(route)
            return record.on(route if route.weights == weights else route.weighed(weights))

        changed = traffic.change(self.platform, self.model, make)
        self.record = record_of(changed) or record
        if self.record.ended == STOPPED:
            raise Superseded(
                f"somebody else changed the weights of {self.model}; the rollout of version "
                f"{self.record.version} has stopped and leaves them",
                f"see them: seatrial model status {self.model}",
            )
        return changed

    def _require_ours(self, route: Route) -> None:
        now = record_of(route)
        if now is None or now.id != self.record.id:
            how = f" ({now.ended}: {now.reason})" if now and now.ended else ""
            raise Superseded(
                f"the rollout of version {self.record.version} of {self.model} was taken over by another "
                f"call{how}",
                f"see what is done: seatrial model status {self.model}",
            )

    def _back(self, reason: str) -> None:
        """The former weights, and why."""
        try:
            former = dict(self.record.former)
            self._patiently(lambda: self._write(former, ended=ROLLED_BACK, reason=reason))
        except Superseded:
            raise
        except Exception as error:
            raise ClientError(
                f"version {self.record.version} of {self.model} must be rolled back ({reason}), and cannot "
                f"be: {error}",
                f"its traffic stays as it is until it can: seatrial model rollback {self.model}",
            ) from error
        self._end("rolled back")

    def _interrupted(self) -> None:
        """The weights of the last good step; the record says where to go on."""
        share = self.record.share
        self._write(traffic.with_share(self.record.former, self.record.version, share))
        self._end("interrupted")
        self.progress.say(
            f"    interrupted: version {self.record.version} has the {share:g} % of its last good step; the "
            "same call goes on from there"
        )


def _new_id() -> str:
    return uuid.uuid4().hex[:12]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
