"""The reaction of the proofs' own: a controller with its own policy and trail, for the proofs' model."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

import client
import workloads
from client import Platform, outputs, pods, rollouts, traffic
from client.rollout_record import CANARY
from client.waiting import until
from proofs import probe
from proofs import rollouts as probes
from proofs.exporter import watched
from proofs.rollouts import LIMITS
from workloads.generate_load.load import Running

NAME = "probe-react"
SCHEMA = "probe_react"
RULE = f"{NAME}-alert"
TRAINING = f"react-{probes.NAME}"
"""The job of a retraining of the proofs' model."""
TO_ARRIVE = 300
"""Seconds within which an alert comes from a new rule by Prometheus and Alertmanager, and is acted upon."""
SELECTOR = f"app.kubernetes.io/name={NAME}"
ALERT, DRIFT = "ModelFails", "FeatureDrifts"
"""What is alerted about a version, and about what a model is asked."""
OUTAGE = "EverythingIsDown"
"""What no machine can mend."""
ROLLBACK, RETRAIN, PAGE = "rollback", "retrain", "page"
SHARE = 20.0
"""Percent of the requests that the version has which is alerted about."""
POLICY = f"""
cooldown: 1h
per_day: 5
rules:
  - {{name: a version fails, match: {{alertname: {ALERT}, model: {probes.NAME}}}, action: {ROLLBACK}}}
  - {{name: drift, match: {{alertname: {DRIFT}, model: {probes.NAME}}}, action: {RETRAIN}}}
  - {{name: only people can, match: {{alertname: {OUTAGE}}}, action: {PAGE}}}
"""


@dataclass(frozen=True)
class Reaction:
    """The controller as Alertmanager and a reader of its trail see it."""

    platform: Platform
    http: httpx.Client

    def tell(self, version: str, status: str, since: datetime) -> None:
        """Post an alert about this version as Alertmanager does."""
        self._post({"alertname": ALERT, "version": version, "severity": "critical"}, status, since)

    def tell_of_drift(self) -> None:
        """Post that what the model is asked has drifted, as of now."""
        self._post({"alertname": DRIFT, "severity": "warning"}, "firing", now())

    def tell_of_outage(self, status: str, since: datetime) -> None:
        """Post what is left to people."""
        self._post({"alertname": OUTAGE, "severity": "critical"}, status, since)

    def _post(self, labels: dict[str, str], status: str, since: datetime) -> None:
        entry = {
            "status": status,
            "labels": {**labels, "model": probes.NAME},
            "annotations": {"summary": "posted by a proof"},
            "startsAt": since.isoformat(),
            "endsAt": "0001-01-01T00:00:00Z",
            "fingerprint": "-".join(("probe", *labels.values())),
        }
        body = {"version": "4", "receiver": NAME, "truncatedAlerts": 0, "alerts": [entry]}
        self.http.post("/alerts", json=body).raise_for_status()

    def trail(self) -> list[dict[str, Any]]:
        """All decisions, the oldest first."""
        answer = self.http.get("/v1/reactions", params={"model": probes.NAME})
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()["reactions"]
        return found[::-1]

    def actions(self, action: str = ROLLBACK) -> list[dict[str, Any]]:
        """What was decided and is, or was, acted upon."""
        return [each for each in self.trail() if each["action"] == action]

    def until_finished(self, action: str = ROLLBACK, patience: float = 90) -> list[dict[str, Any]]:
        """The actions, once there are some and all of them are finished."""
        found: list[dict[str, Any]] = []

        def finished() -> bool:
            found[:] = self.actions(action)
            return bool(found) and all(each["finished_at"] for each in found)

        until(finished, lambda: f"the {action} to be finished; the trail has {found}", patience)
        return found

    def until_noted(self, action: str, words: str, patience: float) -> None:
        """Wait until an action has noted a step with these words, or has come to its end without."""

        def noted() -> bool:
            return any(
                each["finished_at"] or any(words in step["what"] for step in each["steps"])
                for each in self.actions(action)
            )

        until(noted, lambda: f"'{words}' in the trail; it has {self.trail()}", patience)

    def until_decided(self, code: str, since: datetime) -> dict[str, Any]:
        """The decision with this reason about the alert that fires since then, once there is one."""
        found: list[dict[str, Any]] = []

        def decided() -> bool:
            found[:] = [
                each
                for each in self.trail()
                if each["code"] == code and datetime.fromisoformat(each["starts_at"]) == since
            ]
            return bool(found)

        until(decided, lambda: f"a decision '{code}'; the trail has {self.trail()}", 60)
        return found[-1]


@contextmanager
def reacting(platform: Platform, training: str = "", pages_to: str = "") -> Iterator[Reaction]:
    """The controller with an empty trail; `training` is more of its policy, `pages_to` where people are told.
    Nothing is left afterwards.
    """
    remove(platform)
    token = secrets.token_urlsafe(24)
    try:
        made = [
            *objects(platform, POLICY + training),
            secret("token", token=token),
            secret("page", url=pages_to),
        ]
        client.deploy(platform, NAME, made, deadline=180)
        address = platform.address(outputs.NAMESPACE_WORKLOADS, NAME, 80)
        headers = {"authorization": f"Bearer {token}"}
        with httpx.Client(base_url=f"http://{address}", headers=headers, timeout=30, trust_env=False) as http:
            yield Reaction(platform, http)
    finally:
        remove(platform)


def secret(of: str, **values: str) -> dict[str, Any]:
    metadata = {"name": f"{NAME}-{of}", "namespace": outputs.NAMESPACE_WORKLOADS}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}


def objects(platform: Platform, policy: str) -> list[dict[str, Any]]:
    return workloads.manifest(
        "react",
        probe.workload_image(platform),
        name=NAME,
        policy=policy,
        arguments=["--set", f"schema={SCHEMA}", "--set", "every=2"],
    )


def remove(platform: Platform) -> None:
    for name in (RULE, NAME, TRAINING):
        client.delete_workloads(platform, name)
    with platform.bookings() as database:
        database.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


@contextmanager
def alerted(platform: Platform, version: str) -> Iterator[None]:
    """Prometheus has an alert about this version that fires; Alertmanager tells whoever is to be told."""
    labels = {"model": probes.NAME, "version": version, "severity": "none"}
    rule = {"alert": ALERT, "expr": "vector(1)", "labels": labels}
    spec = {"groups": [{"name": RULE, "interval": "5s", "rules": [rule]}]}
    try:
        client.deploy(platform, RULE, [watched("monitoring.coreos.com/v1", "PrometheusRule", RULE, spec)])
        yield
    finally:
        client.delete_workloads(platform, RULE)


def canary(platform: Platform, version: str) -> dict[str, int]:
    """Give the version its share, as `promote` does under load; the weights then."""
    with Running(probes.plan(platform, requests=20_000)) as load:
        record = rollouts.promote(platform, probes.NAME, version, to=CANARY, steps=[SHARE], limits=LIMITS)
        load.stop()
        load.result()
    if record.ended != CANARY:
        raise LookupError(f"version {version} did not become a canary: {record.reason}")
    return weights(platform)


def weights(platform: Platform) -> dict[str, int]:
    return traffic.require(platform, probes.NAME).weights


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def held(platform: Platform) -> Iterator[None]:
    """The controller decides, and gets no further: an action notes a step before it acts, and cannot."""
    with platform.bookings() as database:
        database.execute(f"LOCK TABLE {SCHEMA}.steps IN EXCLUSIVE MODE")
        yield
        database.rollback()


def kill(platform: Platform) -> str:
    """End the controller's pod at once, and wait for the next one; the name of the first."""
    namespace = outputs.NAMESPACE_WORKLOADS
    (pod,) = platform.core.list_namespaced_pod(namespace, label_selector=SELECTOR).items
    platform.core.delete_namespaced_pod(pod.metadata.name, namespace, grace_period_seconds=0)
    gone = pod.metadata.uid

    def again() -> bool:
        there = platform.core.list_namespaced_pod(namespace, label_selector=SELECTOR).items
        return bool(there) and all(each.metadata.uid != gone and pods.ready(each) for each in there)

    until(again, "the next controller", 120)
    return str(pod.metadata.name)
