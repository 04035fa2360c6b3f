"""What is sent where, and how long an alert must hold."""

from urllib.parse import urlsplit

import pytest

import workloads
from infra import alerts, outputs
from infra.components.monitoring import routing
from infra.components.monitoring.settings import AlertmanagerSettings
from tests.unit import infra_stacks
from workloads.receive_alerts.config import reference, tiny


def made(stack: str, kind: str) -> infra_stacks.Manifest:
    (found,) = infra_stacks.built(stack).of_kind(kind)
    return found.inputs


@pytest.mark.parametrize("stack", infra_stacks.STACKS)
def test_alertmanager_is_told_by_the_object_that_is_made(stack: str) -> None:
    configuration, alertmanager = made(stack, "AlertmanagerConfig"), made(stack, "Alertmanager")
    named = alertmanager["spec"]["alertmanagerConfiguration"]["name"]
    assert configuration["metadata"]["name"] == named
    assert configuration["metadata"]["namespace"] == alertmanager["metadata"]["namespace"]
    # Selected besides, it would send everything twice.
    selected = alertmanager["spec"]["alertmanagerConfigSelector"]["matchLabels"]
    assert not selected.items() <= configuration["metadata"]["labels"].items()


@pytest.mark.parametrize("stack", infra_stacks.STACKS)
def test_prometheus_is_told_of_each_change_of_its_configuration_and_rules(stack: str) -> None:
    (reloader,) = made(stack, "Prometheus")["spec"]["containers"]
    watched = {each.removeprefix("--watched-dir=") for each in reloader["args"] if "--watched-dir" in each}
    (configuration,) = (each for each in reloader["args"] if each.startswith("--config-file="))
    rules = f"/etc/prometheus/rules/prometheus-{outputs.PROMETHEUS}-rulefiles-0"
    assert {"/etc/prometheus/config", rules} < watched
    assert configuration.removeprefix("--config-file=").rpartition("/")[0] in watched


def test_every_alert_goes_to_the_receiver_that_is_deployed() -> None:
    objects = workloads.manifest("receive_alerts", "registry.example/seatrial/workloads:0123")
    (service,) = (each for each in objects if each["kind"] == "Service")
    where = urlsplit(AlertmanagerSettings().webhook)
    assert where.hostname == f"{service['metadata']['name']}.{outputs.NAMESPACE_WORKLOADS}.svc.cluster.local"
    assert (where.port or 80) == service["spec"]["ports"][0]["port"]
    assert where.path == "/v1/alerts"
    spec = routing.configuration("monitoring", AlertmanagerSettings())["spec"]
    assert [each["name"] for each in spec["receivers"]] == [spec["route"]["receiver"]]


def test_the_heartbeat_is_repeated_long_before_its_silence_is_an_alarm() -> None:
    (route,) = routing.configuration("monitoring", AlertmanagerSettings())["spec"]["route"]["routes"]
    assert 2 * alerts.seconds(route["repeatInterval"]) <= tiny().silence_seconds < reference().silence_seconds
    assert reference().heartbeat == tiny().heartbeat == route["matchers"][0]["value"]
    assert route["matchers"][0]["value"] in names()


def names() -> set[str]:
    rules = [
        each for spec in alerts.rules(()).values() for group in spec["groups"] for each in group["rules"]
    ]
    return {rule["alert"] for rule in rules if "alert" in rule}


def test_no_alert_has_to_hold_for_longer_than_is_allowed() -> None:
    longest = [
        max(
            alerts.seconds(rule.get("for", "0s"))
            for spec in alerts.rules((), longest_for=limit).values()
            for group in spec["groups"]
            for rule in group["rules"]
        )
        for limit in (None, "5s", "2d")
    ]
    assert longest[1] == 5
    assert longest[0] == longest[2] > 5


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("5m", 300), ("1h30m", 5400), ("250ms", 0.25), ("1d", 86400)]
)
def test_spans_of_time_are_read_as_prometheus_reads_them(text: str, seconds: float) -> None:
    assert alerts.seconds(text) == seconds
