"""Where Alertmanager sends what it is told: everything to one webhook, and besides to whom others name."""

from typing import Any

from infra import kube
from infra.components.monitoring.settings import AlertmanagerSettings

KIND = "monitoring.coreos.com/v1alpha1", "AlertmanagerConfig"
NAME = "platform"
RECEIVERS = {"seatrial.dev/receives": "alerts"}
"""Label of an AlertmanagerConfig, in any namespace, by which someone else is told too."""
HEARTBEAT = "Watchdog"


def configuration(namespace: str, settings: AlertmanagerSettings) -> kube.Manifest:
    """Alertmanager's configuration as an object of the operator."""
    receiver = "webhook"
    heartbeat = {
        "receiver": receiver,
        "matchers": [{"name": "alertname", "value": HEARTBEAT, "matchType": "="}],
        "groupWait": "1s",
        # At each interval it is looked whether it is time to repeat: half of it, so that none is missed.
        "groupInterval": "15s",
        "repeatInterval": "30s",
    }
    webhook = {"url": settings.webhook, "sendResolved": True}
    spec = {
        "route": {
            "receiver": receiver,
            "groupBy": ["alertname", "namespace"],
            "groupWait": settings.group_wait,
            "groupInterval": settings.group_interval,
            "repeatInterval": settings.repeat_interval,
            "routes": [heartbeat],
        },
        "receivers": [{"name": receiver, "webhookConfigs": [webhook]}],
    }
    return kube.object_of(*KIND, kube.metadata(NAME, namespace, component="alertmanager"), spec)


def selection() -> dict[str, Any]:
    """What the Alertmanager says of it. Whoever is told besides gets the alerts of all namespaces."""
    return {
        "alertmanagerConfiguration": {"name": NAME},
        "alertmanagerConfigSelector": {"matchLabels": RECEIVERS},
        "alertmanagerConfigNamespaceSelector": {},
        "alertmanagerConfigMatcherStrategy": {"type": "None"},
    }
