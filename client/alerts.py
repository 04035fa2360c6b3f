"""What fires or is about to, and the silences that keep it from being told.

Prometheus says what fires and what is pending, and since when; Alertmanager says what becomes of it. An alert
is known to both by its labels, to which Prometheus adds some of its own on the way.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from typing import Any

import httpx
from kubernetes import client as k8s

from client.errors import ClientError
from client.live import PrometheusAway
from client.platform import Platform
from infra import outputs

FIRING, PENDING = "firing", "pending"
ACTIVE, SILENCED, INHIBITED, MUTED, UNPROCESSED = "active", "silenced", "inhibited", "muted", "unprocessed"
UNKNOWN = "unknown"
"""Alertmanager has not got it: what became active just now, or before a restart, is sent within a minute."""
SEVERITIES = ("critical", "warning")
_REASONS = {"silencedBy": SILENCED, "inhibitedBy": INHIBITED, "mutedBy": MUTED}
_OPERATORS = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
"""How Prometheus writes a matcher, by `isEqual` and `isRegex`."""
_PODS = f"see its pods: kubectl -n {outputs.NAMESPACE_MONITORING} get pods"


@dataclass(frozen=True)
class Alert:
    """One alert that fires or is pending."""

    name: str
    namespace: str
    """Empty where the alert has no such label."""
    severity: str
    state: str
    """`firing`, or `pending`: what it asks for holds, but not for long enough yet."""
    since: datetime
    """Since when that holds; an alert fires later by its `for`."""
    summary: str
    runbook: str
    notification: str
    """What Alertmanager does with it: `active` (its receivers are told), `silenced`, `inhibited`, `muted`,
    `unprocessed` or `unknown`; empty where it is not to be told yet."""
    receivers: tuple[str, ...]
    """Of Alertmanager's configuration."""
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Silence:
    """What is not told, by whom and until when."""

    id: str
    matchers: str
    """As Prometheus writes them."""
    by: str
    reason: str
    start: datetime
    until: datetime
    state: str
    """`active`; `pending` where it has yet to begin; `expired`."""


class AlertmanagerAway(ClientError):
    """Alertmanager does not answer: nobody is told of anything."""


@dataclass(frozen=True)
class Situation:
    """All that is known of a platform's alerts at one time."""

    alerts: list[Alert]
    """The worst first, then the oldest."""
    silences: list[Silence]
    away: str
    """Why Alertmanager says nothing, and so nobody is told; empty where it answers."""


def look(platform: Platform) -> Situation:
    """What fires or is pending, and what is silenced.

    Raises:
        PrometheusAway: Prometheus does not answer.
    """
    found = _prometheus(platform, "alerts")["alerts"]
    known: list[Any] = []
    silenced: list[Silence] = []
    away = ""
    try:
        known = _alertmanager(platform, "GET", "alerts")
        silenced = silences(platform)
    except ClientError as error:  # It is away, refuses, or its address is not known.
        away = str(error)
    return Situation(_ordered(_alert(entry, known) for entry in found), silenced, away)


def _ordered(alerts: Iterable[Alert]) -> list[Alert]:
    def key(alert: Alert) -> tuple[bool, int, datetime, str, str]:
        rank = SEVERITIES.index(alert.severity) if alert.severity in SEVERITIES else len(SEVERITIES)
        return alert.state != FIRING, rank, alert.since, alert.name, alert.namespace

    return sorted(alerts, key=key)


def _alert(entry: Mapping[str, Any], known: Iterable[Mapping[str, Any]]) -> Alert:
    """An alert as Prometheus tells it, with what Alertmanager says about it."""
    labels, notes = entry["labels"], entry["annotations"]
    sent = _same(labels, known) if entry["state"] == FIRING else None
    notification = _notification(sent) if entry["state"] == FIRING else ""
    return Alert(
        name=labels["alertname"],
        namespace=labels.get("namespace", ""),
        severity=labels.get("severity", ""),
        state=entry["state"],
        since=datetime.fromisoformat(entry["activeAt"]),
        summary=notes.get("summary", ""),
        runbook=notes.get("runbook_url", ""),
        notification=notification,
        receivers=tuple(each["name"] for each in sent["receivers"]) if sent else (),
        labels=labels,
    )


def _same(labels: Mapping[str, str], known: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Of Alertmanager's alerts the one with these labels and the fewest besides."""
    fitting = [entry for entry in known if labels.items() <= entry["labels"].items()]
    return min(fitting, key=lambda entry: len(entry["labels"]), default=None)


def _notification(sent: Mapping[str, Any] | None) -> str:
    if sent is None:
        return UNKNOWN
    status = sent["status"]
    return next((word for key, word in _REASONS.items() if status.get(key)), status["state"])


def silences(platform: Platform) -> list[Silence]:
    """Those that are active or yet to begin, the first to end first.

    Raises:
        AlertmanagerAway: Alertmanager does not answer.
    """
    found = [_silence(entry) for entry in _alertmanager(platform, "GET", "silences")]
    return sorted((each for each in found if each.state != "expired"), key=lambda each: each.until)


def silence(
    platform: Platform, name: str, *, namespace: str | None, lasting: timedelta, by: str, reason: str
) -> Silence:
    """Do not tell of an alert, in one namespace or in all, for so long; returns what Alertmanager made of it.

    Raises:
        ClientError: no alert has that name, there is no such namespace, or Alertmanager refuses the time.
        PrometheusAway: Prometheus does not answer.
        AlertmanagerAway: Alertmanager does not answer.
    """
    _require_alert(platform, name)
    wanted = {"alertname": name}
    if namespace is not None:
        _require_namespace(platform, namespace)
        wanted["namespace"] = namespace
    now = datetime.now(UTC)
    body = {
        "matchers": [
            {"name": label, "value": value, "isRegex": False, "isEqual": True}
            for label, value in wanted.items()
        ],
        "startsAt": now.isoformat(),
        "endsAt": (now + lasting).isoformat(),
        "createdBy": by,
        "comment": reason,
    }
    made = _alertmanager(platform, "POST", "silences", body)["silenceID"]
    return _silence(_alertmanager(platform, "GET", f"silence/{made}"))


def unsilence(platform: Platform, id_: str) -> Silence:
    """End a silence now; returns what it was.

    Raises:
        ClientError: none that is active or yet to begin has this id.
        AlertmanagerAway: Alertmanager does not answer.
    """
    there = {each.id: each for each in silences(platform)}
    if id_ not in there:
        names = ", ".join(there) or "none"
        raise ClientError(f"no silence {id_} is active", f"there are: {names}; see them: seatrial alerts")
    _alertmanager(platform, "DELETE", f"silence/{id_}")
    return there[id_]


def _silence(entry: Mapping[str, Any]) -> Silence:
    return Silence(
        id=entry["id"],
        matchers=", ".join(_matcher(each) for each in entry["matchers"]),
        by=entry["createdBy"],
        reason=entry["comment"],
        start=datetime.fromisoformat(entry["startsAt"]),
        until=datetime.fromisoformat(entry["endsAt"]),
        state=entry["status"]["state"],
    )


def _matcher(entry: Mapping[str, Any]) -> str:
    operator = _OPERATORS[entry.get("isEqual", True), entry["isRegex"]]
    return f'{entry["name"]}{operator}"{entry["value"]}"'


def _require_alert(platform: Platform, name: str) -> None:
    """A silence for a misspelt alert would be taken, and silence nothing."""
    groups = _prometheus(platform, "rules", type="alert")["groups"]
    known = {rule["name"] for group in groups for rule in group["rules"]}
    # Programs may send alerts past Prometheus.
    known |= {entry["labels"]["alertname"] for entry in _alertmanager(platform, "GET", "alerts")}
    if name in known:
        return
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    todo = f"did you mean {near[0]}?" if near else f"there are: {', '.join(sorted(known)) or 'none'}"
    raise ClientError(f"no alert is called {name}", todo)


def _require_namespace(platform: Platform, namespace: str) -> None:
    try:
        platform.core.read_namespace(namespace)
    except k8s.ApiException as error:
        if error.status != 404:
            raise
        raise ClientError(
            f"there is no namespace {namespace}", "see those that there are: kubectl get namespaces"
        ) from error


def _prometheus(platform: Platform, path: str, **parameters: str) -> Any:
    try:
        return platform.prometheus(path, **parameters)
    except httpx.HTTPError as error:
        why = platform.complaint("PROMETHEUS_URL") or error
        raise PrometheusAway(
            f"Prometheus does not answer, and nothing else says what fires: {why}", _PODS
        ) from error


def _alertmanager(platform: Platform, method: str, path: str, body: Any = None) -> Any:
    try:
        return platform.alertmanager(method, path, body)
    except httpx.HTTPStatusError as error:
        said = f"{error.response.status_code} {error.response.text.strip()}"
        raise ClientError(f"Alertmanager refused {method} {path}: {said}", _PODS) from error
    except httpx.HTTPError as error:
        why = platform.complaint("ALERTMANAGER_URL") or error
        raise AlertmanagerAway(
            f"Alertmanager does not answer, so nobody is told of anything: {why}", _PODS
        ) from error
