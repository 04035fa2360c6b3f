"""What is to be done about the alerts that there are, from the policy and from what was done before.

Nothing here acts, reads a clock or keeps anything: the same question has the same answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from react.policy import CHANGES, NOTHING, PAGE, RETRAIN, ROLLBACK, Policy, Rule

DAY = timedelta(days=1)
DONE = "done"
"""The result of an action that did what it was to do."""
_URGENCY = {ROLLBACK: 0, RETRAIN: 1, PAGE: 2, NOTHING: 3}


@dataclass(frozen=True)
class Alert:
    """An alert as Alertmanager last told of it."""

    fingerprint: str
    """Of its labels: the same alert that fires again has the same."""
    labels: dict[str, str]
    starts_at: datetime
    """When it began to fire; with the fingerprint this is one episode."""
    seen_at: datetime
    """When Alertmanager last told."""
    firing: bool = True

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "")

    @property
    def model(self) -> str:
        return self.labels.get("model", "")

    @property
    def version(self) -> str:
        return self.labels.get("version", "")


@dataclass(frozen=True)
class Action:
    """What was decided before and is, or was, acted upon."""

    id: int
    action: str
    model: str
    fingerprint: str
    starts_at: datetime
    decided_at: datetime
    finished_at: datetime | None = None
    result: str = ""

    def of_episode(self, alert: Alert) -> bool:
        return (self.fingerprint, self.starts_at) == (alert.fingerprint, alert.starts_at)


@dataclass(frozen=True)
class Decision:
    """What is done about an alert, and why."""

    action: str
    code: str
    """The reason in a word or two: a decision is noted when it differs from the one before."""
    reason: str
    rule: str = ""


def decide_all(
    policy: Policy, alerts: Iterable[Alert], now: datetime, before: Sequence[Action]
) -> list[tuple[Alert, Decision]]:
    """The decision on each alert, the most urgent first; each knows of those before it.

    `before` has each action of the last day and cooldown, each that is open, and each of an episode of
    `alerts`.
    """

    def urgency(alert: Alert) -> tuple[int, datetime, str]:
        rule = policy.rule_of(alert.labels)
        return _URGENCY[rule.action if rule else NOTHING], alert.starts_at, alert.fingerprint

    known, found = list(before), []
    for alert in sorted(alerts, key=urgency):
        decision = decide(policy, alert, now, known)
        if decision.action != NOTHING:
            known.append(
                Action(0, decision.action, alert.model, alert.fingerprint, alert.starts_at, decided_at=now)
            )
        found.append((alert, decision))
    return found


def decide(policy: Policy, alert: Alert, now: datetime, before: Sequence[Action]) -> Decision:
    """What is done about one alert."""
    rule = policy.rule_of(alert.labels)
    if rule is None:
        return Decision(NOTHING, "no rule", "no rule of the policy fits its labels")
    held = _too_early(policy, rule, alert, now)
    if held is None and rule.action in CHANGES:
        missing = [label for label in _needed(rule.action) if not alert.labels.get(label)]
        if missing:
            why = f"rule {rule.name} cannot {rule.action}: the alert has no label {' and '.join(missing)}"
            return _page(policy, rule, alert, now, before, "no label", why)
        return _change(policy, rule, alert, now, before)
    if held is None:
        return _page(policy, rule, alert, now, before, "rule", f"rule {rule.name}")
    return held


def _needed(action: str) -> tuple[str, ...]:
    """Labels without which an action does not know what it acts on."""
    return ("model", "version") if action == ROLLBACK else ("model",)


def _too_early(policy: Policy, rule: Rule, alert: Alert, now: datetime) -> Decision | None:
    """Nothing is done about what is over, or has just begun."""
    if not alert.firing:
        return Decision(NOTHING, "resolved", "it is resolved", rule.name)
    if now - alert.seen_at > policy.stale:
        seen = f"{alert.seen_at:%Y-%m-%d %H:%M} UTC"
        return Decision(NOTHING, "stale", f"Alertmanager has not repeated it since {seen}", rule.name)
    if now - alert.starts_at < rule.after:
        due = alert.starts_at + rule.after
        return Decision(
            NOTHING, "too early", f"it must fire until {due:%H:%M:%S} UTC to count ({rule.name})", rule.name
        )
    return None


def _change(policy: Policy, rule: Rule, alert: Alert, now: datetime, before: Sequence[Action]) -> Decision:
    """The rule's action, or why not: no second one at once, for the same episode, too soon, or too often."""
    changes = [each for each in before if each.model == alert.model and each.action in CHANGES]
    # What takes a version away does not wait for what may add one: the other way round it does.
    holding = [each for each in changes if rule.action == RETRAIN or each.action == ROLLBACK]
    for each in holding:
        if each.finished_at is None:
            return Decision(
                NOTHING,
                "under way",
                f"a {each.action} of {alert.model} is under way{_named(each)}",
                rule.name,
            )
    tried = [each for each in changes if each.of_episode(alert)]
    unsuccessful = [each for each in tried if each.finished_at and each.result != DONE]
    if unsuccessful:
        last = unsuccessful[-1]
        why = f"the {last.action} for it was not done: {last.result}{_named(last)}"
        return _page(policy, rule, alert, now, before, "not done", why)
    for each in holding:
        if each.finished_at is not None and now - each.finished_at < policy.cooldown:
            until = f"{each.finished_at + policy.cooldown:%Y-%m-%d %H:%M} UTC"
            why = f"{alert.model} had a {each.action}{_named(each)} and is left alone until {until}"
            return Decision(NOTHING, "cooldown", why, rule.name)
    if tried:
        why = f"it still fires after the {tried[-1].action} for it{_named(tried[-1])}"
        return _page(policy, rule, alert, now, before, "still fires", why)
    today = [each for each in changes if now - each.decided_at < DAY]
    if len(today) >= policy.per_day:
        why = f"{alert.model} had {len(today)} actions in 24 hours, and the policy allows {policy.per_day}"
        if policy.at_limit == NOTHING:
            return Decision(NOTHING, "limit", why, rule.name)
        return _page(policy, rule, alert, now, before, "limit", why)
    return Decision(rule.action, "rule", f"rule {rule.name}", rule.name)


def _page(
    policy: Policy, rule: Rule, alert: Alert, now: datetime, before: Sequence[Action], code: str, why: str
) -> Decision:
    """Tell a person, once an episode, and not of each time that an alert comes and goes."""
    pages = [each for each in before if each.action == PAGE and each.fingerprint == alert.fingerprint]
    for each in pages:
        if each.of_episode(alert):
            return Decision(NOTHING, "paged", f"a person was told{_named(each)}; {why}", rule.name)
    for each in pages:
        if each.finished_at is None or now - each.finished_at < policy.cooldown:
            told = f"a person was told of the same alert less than {policy.cooldown} ago{_named(each)}"
            return Decision(NOTHING, "paged lately", f"{told}; {why}", rule.name)
    return Decision(PAGE, code, why, rule.name)


def _named(action: Action) -> str:
    return f" (reaction {action.id})" if action.id else ""
