"""What the reaction does, each so that it may be begun again at any point: it looks first at what is done."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import httpx
from kubernetes import client as k8s

import client
import workloads
from client import ClientError, Platform, jobs, models, registry, rollouts, traffic
from client.judging import Limits
from client.rollout_record import CANARY, ROLLED_BACK, Record, record_of
from client.rollout_step import NOT_NOW, silence
from react import months
from react.compare import Comparison, Incomparable, Tested, compare, tested
from react.controller import Later, Outcome
from react.decide import DONE
from react.policy import AGAINST, MONTHS, Training
from react.trail import Reaction, Trail

Note = Callable[[str], None]


def passing(error: Exception) -> bool:
    """Whether it may go well another time: somebody does not answer, or not now."""
    cause = error.__cause__ if isinstance(error, ClientError) else error
    if isinstance(cause, k8s.ApiException):
        return not cause.status or cause.status in NOT_NOW
    return not isinstance(error, ClientError) or bool(silence(error))


def judged(error: Exception) -> Outcome:
    """What a failure of `client` comes to.

    Raises:
        Later: it may pass.
    """
    if passing(error):
        raise Later(f"{type(error).__name__}: {error}") from error
    return Outcome(f"refused: {error.what if isinstance(error, ClientError) else jobs.refusal(error)}")


# --- rollback -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rollback:
    """Gives the version's traffic back to those that had it before."""

    platform: Platform

    def __call__(self, reaction: Reaction, note: Note) -> Outcome:
        try:
            return self._back(reaction, note)
        except (ClientError, k8s.ApiException) as error:
            return judged(error)

    def _back(self, reaction: Reaction, note: Note) -> Outcome:
        mark = f"reaction {reaction.id} of {reaction.decided_at:%Y-%m-%dT%H:%M:%SZ}: {reaction.alertname}"
        route = traffic.require(self.platform, reaction.model)
        record = record_of(route)
        if record and (record.ended, record.reason) == (ROLLED_BACK, mark):
            note("it was rolled back before this process began")
            traffic.in_force(self.platform, route)
            return _left(record, route.weights)
        if not route.weights.get(reaction.version):
            return Outcome(f"refused: version {reaction.version} gets no requests of the default rule")
        note(f"version {reaction.version} loses its traffic")
        record = rollouts.rollback(self.platform, reaction.model, version=reaction.version, reason=mark)
        return _left(record, traffic.require(self.platform, reaction.model).weights)


def _left(record: Record, weights: dict[str, int]) -> Outcome:
    return Outcome(DONE, {"left": record.version, "weights": weights})


# --- page ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """Tells a person, by a request to some service that does."""

    url: str
    """Where to; empty where nobody is told, but by the metric."""
    seconds: float = 10.0

    def __call__(self, reaction: Reaction, note: Note) -> Outcome:
        if not self.url:
            return Outcome("untold: there is no address to tell it to (PAGE_URL)")
        key = f"react-{reaction.id}-{reaction.decided_at:%Y%m%dT%H%M%SZ}"
        body = {
            # Who was told before, by a process that was lost since, must not be told twice.
            "dedup_key": key,
            "reaction": reaction.id,
            "alert": reaction.alertname,
            "labels": reaction.labels,
            "since": reaction.starts_at.isoformat(),
            "reason": reaction.reason,
        }
        try:
            answer = httpx.post(
                self.url, json=body, timeout=self.seconds, headers={"idempotency-key": key}, trust_env=False
            )
        except httpx.HTTPError as error:
            raise Later(f"{type(error).__name__}: {error}") from error
        if answer.status_code in (408, 429) or answer.status_code >= 500:
            raise Later(f"it was answered {answer.status_code}")
        if not answer.is_success:
            return Outcome(f"failed: it was answered {answer.status_code}: {answer.text[:200]}")
        return Outcome(DONE, {"dedup_key": key})


# --- retraining ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Version:
    """A registered version, and the run that made it."""

    model: str
    version: str
    run_id: str
    weights: str
    """SHA-256 of what it learned; empty where it was not said."""


@dataclass(frozen=True)
class Plan:
    """How a retraining is done. It is in the trail, so that whoever goes on with it does the same."""

    against: str
    """`NAME/VERSION` of the version that served when it was made: it is scored on the same flights."""
    months: dict[str, list[int]]
    """To train, validate and test on; none where those of the configuration are taken."""

    def settings(self) -> dict[str, str]:
        """As `train_delay` is given it."""
        named = {MONTHS[part]: ",".join(map(str, of_part)) for part, of_part in self.months.items()}
        return {AGAINST: self.against, **named}

    def __str__(self) -> str:
        named = [f"{part} {', '.join(map(str, of_part))}" for part, of_part in self.months.items()]
        return f"against {self.against}, months: {'; '.join(named) or 'those of its configuration'}"


@dataclass(frozen=True)
class Retrain:
    """Trains on the last load, and gives the new version a canary's traffic if it is better."""

    platform: Platform
    settings: Training
    image: str
    """Of the training."""
    trail: Trail

    def __call__(self, reaction: Reaction, note: Note) -> Outcome:
        try:
            return self._retrain(reaction, note)
        except (ClientError, k8s.ApiException) as error:
            return judged(error)

    def _retrain(self, reaction: Reaction, note: Note) -> Outcome:
        training, plan = training_of(reaction), self._plan(reaction)
        new = registered(self.platform, training)
        if new is None:
            note(f"training {training} {plan}")
            self._train(reaction, training, plan)
            new = registered(self.platform, training)
        if new is None:
            return Outcome(f"failed: training {training} ended and registered nothing")
        served = champion(self.platform, reaction.model)
        detail: dict[str, Any] = {"training": training, "new": asdict(new), "served": served.version}
        begun = record_of(traffic.require(self.platform, reaction.model))
        if begun and begun.version == new.version:
            return self._canary(reaction, note, new, served, begun, detail)
        if new.model != served.model:
            return Outcome(f"refused: it is a version of {new.model}, and {served.model} is served", detail)
        if back := self._taken_back(reaction.model, new):
            why = f"it is what version {back} was, which was taken back"
            return Outcome(f"refused: version {new.version} is not promoted: {why}", detail)
        try:
            found = compare(_against(tested(self.platform, new.run_id), served))
        except Incomparable as error:
            return Outcome(f"refused: versions {new.version} and {served.version}: {error}", detail)
        note(f"version {new.version} against {served.version}: {found}")
        detail["comparison"] = asdict(found)
        if not found.better(self.settings.gain):
            return Outcome(_not_better(new, served, found), detail)
        return self._canary(reaction, note, new, served, None, detail)

    def _plan(self, reaction: Reaction) -> Plan:
        """The one that was kept, or a new one.

        Raises:
            ClientError: nothing is served that one could compare with, or the load has too few months.
        """
        kept = reaction.detail
        if "plan" not in kept:
            served = champion(self.platform, reaction.model)
            wanted = self.settings.months
            chosen = months.newest(self.platform, wanted) if wanted else {}
            made = Plan(f"{served.model}/{served.version}", chosen)
            kept = self.trail.keep(reaction, {"plan": asdict(made)})
        return Plan(**kept["plan"])

    def _train(self, reaction: Reaction, training: str, plan: Plan) -> None:
        """Start it where it is not there, and wait for its end.

        Raises:
            ClientError: it failed, or took too long.
        """
        name = f"react-{reaction.model}"
        settings = {**self.settings.set, **plan.settings()}
        (item,) = workloads.manifest(
            "train_delay",
            self.image,
            **client.offers(self.platform),
            form="TrainJob",
            name=name,
            config=self.settings.config,
            ranks=self.settings.ranks,
            training=training,
            arguments=[word for key, value in settings.items() for word in ("--set", f"{key}={value}")],
        )
        (job,) = jobs.jobs(self.platform, [item])
        if not _runs(job, training):
            client.deploy(self.platform, name, [item], wait=False)
        jobs.follow(job, self.settings.deadline.total_seconds())

    def _taken_back(self, model: str, new: Version) -> str:
        """The version that was taken back and had learned the same; empty where there is none."""
        record = record_of(traffic.require(self.platform, model))
        left = self.trail.left(model) | (
            {record.version} if record and record.ended == ROLLED_BACK else set()
        )
        if new.version in left:
            return new.version
        known = self.platform.mlflow().search_model_versions(f"name = '{new.model}'")
        same = (
            str(each.version) for each in known
            if str(each.version) in left and new.weights and each.tags.get("weights_sha256") == new.weights
        )  # fmt: skip
        return next(same, "")

    def _canary(
        self,
        reaction: Reaction,
        note: Note,
        new: Version,
        served: models.Served,
        begun: Record | None,
        detail: dict[str, Any],
    ) -> Outcome:
        """Give it a canary's traffic; one that was begun is gone on with, an ended one is the result."""
        record = begun
        if record is None or not record.ended:
            note(f"version {new.version} becomes a canary")
            found = registry.resolve(self.platform, new.model, new.version)
            size = models.Size(replicas=served.replicas)
            models.serve(self.platform, found, name=reaction.model, image=served.image, size=size)
            limits = Limits(requests=self.settings.requests, patience=self.settings.patience.total_seconds())
            steps = self.settings.steps
            record = rollouts.promote(
                self.platform, reaction.model, new.version, to=CANARY, steps=steps, limits=limits
            )
        if record.ended == ROLLED_BACK:
            return Outcome(f"rolled back: {record.reason}", {**detail, "left": new.version})
        if record.ended != CANARY:
            return Outcome(f"refused: its rollout ended as {record.ended}: {record.reason}", detail)
        return Outcome(DONE, {**detail, "canary": new.version})


def training_of(reaction: Reaction) -> str:
    """The id of the training: from the trail alone, so that a lost process's successor knows it too."""
    began: datetime = reaction.decided_at
    return f"react-{reaction.model}-{reaction.id}-{int(began.timestamp()):x}"


def champion(platform: Platform, model: str) -> models.Served:
    """The version that most requests go to.

    Raises:
        ClientError: the model has no traffic, or that version is not served.
    """
    weights = traffic.require(platform, model).weights
    most = max(weights, key=lambda version: weights[version])
    found = next((each for each in models.served(platform, model) if each.version == most), None)
    if found is None:
        raise ClientError(f"version {most} of {model} is not served", f"see: seatrial model status {model}")
    return found


def registered(platform: Platform, training: str) -> Version | None:
    """What a training registered; None where it has not ended."""
    mlflow = platform.mlflow()
    everywhere = [each.experiment_id for each in mlflow.search_experiments()]
    done = f"tags.training = '{training}' and attributes.status = 'FINISHED'"
    for run in mlflow.search_runs(everywhere, done):
        for each in mlflow.search_model_versions(f"run_id = '{run.info.run_id}'"):
            sha256 = each.tags.get("weights_sha256", "")
            return Version(each.name, str(each.version), run.info.run_id, sha256)
    return None


def _runs(job: jobs.Handle, training: str) -> bool:
    """Whether the job is there and is this training."""
    try:
        there = job.read()
    except k8s.ApiException as error:
        if error.status != 404:
            raise
        return False
    given = there["spec"]["trainer"].get("env") or []
    return {"name": "TRAINING_ID", "value": training} in given


def _against(found: Tested, served: models.Served) -> Tested:
    """The test, if it was against the version that is served.

    Raises:
        Incomparable: another one was served when the training began.
    """
    if found.against != f"{served.model}/{served.version}":
        raise Incomparable(f"it was tested against {found.against}, which is no longer what is served")
    return found


def _not_better(new: Version, served: models.Served, found: Comparison) -> str:
    return f"not better: version {new.version} is not shown to be better than {served.version}: {found}"


def acts(
    platform: Platform, settings: Training, image: str, page_url: str, trail: Trail
) -> dict[str, Callable[[Reaction, Note], Outcome]]:
    """Each action by its name in the policy."""
    return {
        "rollback": Rollback(platform),
        "retrain": Retrain(platform, settings, image, trail),
        "page": Page(page_url),
    }
