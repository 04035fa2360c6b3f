"""What the reaction counts."""

from prometheus_client import Counter, Gauge

from react.policy import CHANGES, PAGE

RESULTS = ("done", "refused", "failed", "not better", "rolled back", "untold")
"""How an action ends; what follows a colon in the trail says why."""
REACTIONS = Counter("reaction_actions_total", "Actions that were finished.", ["action", "result"])
OPEN = Gauge("reaction_open_intents", "Actions that were decided and are not finished.", ["action"])
OLDEST = Gauge("reaction_oldest_intent_seconds", "Age of the oldest of them; 0 where there is none.")
LOOKED = Gauge("reaction_last_look_timestamp_seconds", "When all alerts were last judged.")
ALERTS = Counter("reaction_alerts_total", "Alerts that were told and stored.", ["status"])
REFUSED = Counter("reaction_refused_total", "Requests to tell alerts that were refused.", ["code"])


def begin() -> None:
    """Show each series from the start: one that comes with its first count is no increase to Prometheus. And
    who has just begun has not failed to look since 1970.
    """
    LOOKED.set_to_current_time()
    for action in (*CHANGES, PAGE):
        OPEN.labels(action).set(0)
        for result in RESULTS:
            REACTIONS.labels(action, result)


def finished(action: str, result: str) -> None:
    """Count an action by the first words of its result."""
    REACTIONS.labels(action, result.partition(":")[0]).inc()
