"""Each alert that is shipped has a cause, and a cause is a cause: rules, seen by promtool, fire at what is
reported.
"""

import base64
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest
import yaml
from cryptography import x509
from trino.exceptions import TrinoQueryError

import client
import workloads
from client import ClientError, rules
from client.waiting import until
from infra import alerts, parts, releases
from local import promtool
from proofs import (
    alarms,
    causes,
    causes_objects,
    causes_reported,
    causes_requests,
    damage_alerts,
    exporter,
    outages,
    probe,
    rollouts,
    scene,
)
from proofs import models as known_models
from proofs.causes_reported import SERIES, WELL
from proofs.run import Broken, Check, Skip
from proofs.subjects import monitoring_alerts
from proofs.subjects import monitoring_causes as subject
from tests.unit.test_proofs_alerts import way

IMAGE = "registry.test/workloads:1"


# --- the table ----------------------------------------------------------------------------------------------


def shipped() -> dict[str, dict[str, Any]]:
    """All alerts of components and workloads, by name."""
    specs = [*alerts.rules(parts.ALL).values()]
    for workload in workloads.names():
        specs += [
            each["spec"] for each in workloads.manifest(workload, IMAGE) if each["kind"] == "PrometheusRule"
        ]
    rules = [rule for spec in specs for group in spec["groups"] for rule in group["rules"]]
    return {rule["alert"]: rule for rule in rules if "alert" in rule}


def test_each_alert_that_is_shipped_has_a_cause() -> None:
    assert len(shipped()) > 38
    assert causes.uncaused(shipped()) == set()


def test_each_cause_is_of_an_alert_that_is_shipped_and_of_nothing_else() -> None:
    tables = [set(causes.CAUSES), set(outages.DEAD), set(causes.DRIFT)]
    known = {alarms.HEARTBEAT, outages.WITHOUT_TARGETS}.union(*tables)
    assert known == set(shipped())
    assert sum(map(len, tables)) + 2 == len(known)


def test_what_is_reported_is_what_the_table_says() -> None:
    told = {name for name, cause in causes.CAUSES.items() if cause.how.startswith("reported: ")}
    assert told == set(SERIES)
    assert set(WELL) <= set(SERIES)


def test_the_rules_of_workloads_are_brought() -> None:
    brought = causes.brought(IMAGE)
    assert causes.alerts_of(brought) == {"FeedbackStalls", "LiveQualityFalls", "ReactionFails"}
    assert all(item["metadata"]["labels"] == exporter.PART_OF for item in brought)
    names = {item["metadata"]["name"] for item in brought}
    assert names == {"probe-ship-predictions", "probe-react"}


def test_a_cause_of_two_alerts_begins_once_and_all_end(monkeypatch: pytest.MonkeyPatch) -> None:
    course: list[str] = []

    @contextmanager
    def acts(name: str) -> Iterator[None]:
        course.append(f"{name} begins")
        try:
            yield
        finally:
            course.append(f"{name} ends")

    both = causes.Cause("both", lambda _: acts("both"))
    other = causes.Cause("other", lambda _: acts("other"))
    table = {"GatewayErrors": both, "RouteErrors": both, "TargetDown": other, "ModelFails": other}
    monkeypatch.setattr(causes, "CAUSES", table)
    on: Any = None
    with pytest.raises(KeyError), causes.begun(on, ["GatewayErrors", "RouteErrors", "TargetDown"]):
        raise KeyError("the proof's own error")
    assert course == ["both begins", "other begins", "other ends", "both ends"]


# --- what is reported ---------------------------------------------------------------------------------------


TARGET = {
    "job": f"workloads/{exporter.NAME}", "namespace": "workloads", "instance": "10.0.0.9:8080",
    "pod": f"{exporter.NAME}-a", "container": "main", "endpoint": "http", "metrics_path": "/metrics",
}  # fmt: skip
"""The labels that Prometheus gives to what the exporter tells; what it tells itself is kept."""


def scraped(text: str) -> list[dict[str, str]]:
    """The text as promtool's input: the same value all the time."""
    found = []
    for line in text.splitlines():
        named = re.fullmatch(r"(\w+)\{(.*)\} (\S+)", line)
        assert named, line
        labels = TARGET | dict(re.findall(r'(\w+)="([^"]*)"', named[2]))
        inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
        found.append({"series": f"{named[1]}{{{inside}}}", "values": f"{float(named[3]):.2f}x20"})
    return found


def test_rules_fire_at_what_is_reported_and_no_other_does(tmp_path: Path) -> None:
    specs = alerts.rules(parts.ALL, longest_for="5s")
    brought = causes.brought(IMAGE)
    for item in brought:
        rules.hasten(item, "5s")
    files = {**specs, **{item["metadata"]["name"]: item["spec"] for item in brought}}
    for name, spec in files.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(spec))
    asked = f'count by (alertname) (ALERTS{{alertstate="firing", alertname=~"{"|".join(SERIES)}"}})'
    tests = [
        {
            "interval": "5s",
            "input_series": scraped("".join({**WELL, alert: SERIES[alert]}.values())),
            "promql_expr_test": [
                {
                    "expr": asked,
                    "eval_time": "30s",
                    "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1}],
                }
            ],
        }
        for alert in SERIES
    ]
    whole = {
        "rule_files": [f"{name}.yaml" for name in files],
        "evaluation_interval": "5s",
        "tests": tests,
    }
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(whole))
    program = promtool.ensure(releases.load()["prometheus"].version)
    done = subprocess.run(
        [program, "test", "rules", tmp_path / "test.yaml"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def telling() -> Iterator[tuple[httpx.Client, exporter.Exporter]]:
    """The exporter's own program, as a process of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-c", exporter.SCRIPT.replace("PORT", str(port))])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
            until(lambda: answers(http), "the exporter", 20, every=0.05)
            yield http, exporter.Exporter(http)
    finally:
        process.kill()
        process.wait()


def answers(http: httpx.Client) -> bool:
    try:
        return http.get("/").status_code == 200
    except httpx.TransportError:
        return False


def test_the_exporter_tells_what_it_was_told_until_it_is_over(
    telling: tuple[httpx.Client, exporter.Exporter],
) -> None:
    http, told = telling
    on: Any = Some(exporter=told)
    causes.calm(on)
    with causes_reported.reported(on, "NodeDiskFills"), causes_reported.reported(on, "FeedbackStalls"):
        page = http.get(exporter.FIGURES)
        assert page.headers["content-type"].startswith("text/plain")
        assert sorted(page.text) == sorted(SERIES["FeedbackStalls"] + SERIES["NodeDiskFills"])
    assert http.get(exporter.FIGURES).text == WELL["FeedbackStalls"]
    told.forget()
    assert http.get(exporter.FIGURES).text == ""


def test_the_exporter_refuses_one_page_and_no_other(
    telling: tuple[httpx.Client, exporter.Exporter],
) -> None:
    http, told = telling
    on: Any = Some(exporter=told)
    pages = (exporter.TARGET, exporter.ROUTE, exporter.FIGURES)
    with causes_objects.target_refuses(on):
        assert [http.get(page).status_code for page in pages] == [503, 200, 200]
    assert [http.get(page).status_code for page in pages] == [200, 200, 200]


def platform_at(http: httpx.Client, read: int) -> Any:
    """Its exporter is the process of the test, of which Prometheus reads so many pages."""
    platform = MagicMock()
    platform.forward.return_value = Some(local_port=http.base_url.port)
    platform.prometheus.return_value = {"result": [{"value": [0, str(read)]}]}
    return platform


@pytest.mark.parametrize("read", [1, 2])
def test_the_exporter_begins_anew_is_waited_for_and_goes(
    telling: tuple[httpx.Client, exporter.Exporter], monkeypatch: pytest.MonkeyPatch, read: int
) -> None:
    http, left = telling
    left.refuse(exporter.TARGET, True)  # By a run that was killed.
    course: list[Any] = []
    monkeypatch.setattr(exporter, "PATIENCE", 0)
    monkeypatch.setattr(probe, "workload_image", lambda _: IMAGE)
    monkeypatch.setattr(client, "deploy", lambda _, __, objects: course.append(objects[-1]))
    monkeypatch.setattr(client, "delete_workloads", lambda _, name: course.append(name))
    rule = {"kind": "PrometheusRule"}
    waited = pytest.raises(ClientError, match="Prometheus to read") if read < 2 else nullcontext()
    with waited, exporter.running(platform_at(http, read), rule, routed=False):
        assert http.get(exporter.TARGET).status_code == 200
        course.append("at work")
    assert course == [rule, *(["at work"] if read == 2 else []), exporter.NAME]


def test_prometheus_reads_both_pages_apart_and_keeps_the_labels_of_figures() -> None:
    *_, monitor = exporter.objects(IMAGE, routed=False)
    figures, target = monitor["spec"]["podMetricsEndpoints"]
    assert figures["honorLabels"] is True
    assert "honorLabels" not in target
    # Or both would have the same `up`.
    assert figures["relabelings"] == target["relabelings"]
    assert figures["path"] != target["path"]
    kinds = [each["kind"] for each in exporter.objects(IMAGE, routed=True)]
    assert kinds == ["Deployment", "Service", "PodMonitor", "HTTPRoute"]


# --- requests -----------------------------------------------------------------------------------------------


def answer(status: int) -> httpx.Response:
    return httpx.Response(status, text="said", request=httpx.Request("GET", "http://asked.test/"))


def test_what_does_not_fail_at_once_is_no_cause() -> None:
    with (
        pytest.raises(LookupError, match=r"asked\.test/ answered 200: said"),
        causes_requests.asking(lambda: answer(200), 500),
    ):
        raise AssertionError("it was taken for a cause")


def test_requests_go_on_through_broken_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def ask() -> httpx.Response:
        asked.append(1)
        if len(asked) == 2:
            raise httpx.ConnectError("gone")
        return answer(503)

    monkeypatch.setattr(causes_requests, "EVERY", 0.01)
    with causes_requests.asking(ask, 500):
        until(lambda: len(asked) > 3, "more requests", 10, every=0.01)


def failing(kind: str | None) -> Any:
    """A platform whose Trino ends the second statement so."""
    platform = MagicMock()
    error = TrinoQueryError({"errorType": kind, "errorName": "X", "message": "x"})
    last = [None] if kind is None else error
    platform.trino().cursor().execute.side_effect = [None, *([last] if kind is None else [error])]
    return platform


@pytest.mark.parametrize(("kind", "raises"), [(None, LookupError), ("USER_ERROR", TrinoQueryError)])
def test_a_query_that_fails_otherwise_or_not_is_no_cause(kind: str | None, raises: type[Exception]) -> None:
    with pytest.raises(raises):
        causes_requests.fail(failing(kind), "SELECT 1", "EXTERNAL", "SET SESSION a = 1")
    causes_requests.fail(failing("EXTERNAL"), "SELECT 1", "EXTERNAL", "SET SESSION a = 1")


def test_the_view_goes_also_when_queries_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    platform = MagicMock()
    on: Any = Some(platform=platform)
    with pytest.raises(LookupError), causes_requests.queries_fail(on):
        raise AssertionError("it was taken for a cause")
    run = platform.postgres().__enter__().execute.call_args_list
    assert [str(each.args[0]).split()[0] for each in run] == ["CREATE", "GRANT", "DROP"]


def test_the_failing_model_is_asked_by_its_service_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    course: list[Any] = []
    asked = {"inputs": [{"name": "carrier", "data": ["UA"]}]}

    def answers(request: httpx.Request) -> httpx.Response:
        course.append((request.url.path, json.loads(request.content)["inputs"][0]["data"]))
        return httpx.Response(500)

    def client_of(_: Any, service: str) -> httpx.Client:
        course.append(service)
        return httpx.Client(base_url="http://model.test", transport=httpx.MockTransport(answers))

    def serve(_: Any, kind: str) -> str:
        course.append(kind)
        return "3"

    monkeypatch.setattr(rollouts, "remove", lambda _: course.append("removed"))
    monkeypatch.setattr(rollouts, "serve", serve)
    monkeypatch.setattr(client.models, "example", lambda *_: asked)
    monkeypatch.setattr(known_models, "client_of", client_of)
    platform: Any = None
    with scene.failing_model(platform) as model:
        on: Any = Some(model=model)
        with causes_requests.model_fails(on):
            pass
    path = f"/v2/models/{rollouts.NAME}/infer"
    service = f"{rollouts.NAME}-v3-predictor"
    begins = ["removed", rollouts.FAILING, service, (path, [rollouts.UNKNOWN])]
    assert course[:4] == begins
    assert course[-1] == "removed"


# --- objects ------------------------------------------------------------------------------------------------


def test_the_certificate_should_have_been_renewed_and_has_not_ended() -> None:
    made = causes_objects.secret("probe")
    pem = base64.b64decode(made["data"]["tls.crt"])
    certificate = x509.load_pem_x509_certificate(pem)
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    renewed = begins + (ends - begins) * 2 / 3  # cert-manager's default.
    left = ends - datetime.now(UTC)
    assert timedelta(minutes=50) < left < 0.5 * (ends - renewed)
    assert b"PRIVATE KEY" in base64.b64decode(made["data"]["tls.key"])


def test_the_deaf_pod_is_one_that_the_monitor_of_models_picks() -> None:
    template = causes_objects.deaf_pod(IMAGE)["spec"]["template"]
    assert "serving.kserve.io/inferenceservice" in template["metadata"]["labels"]
    assert template["spec"]["containers"][0]["ports"][0]["name"] == "http"


def test_what_was_added_goes_also_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    course: list[str] = []
    monkeypatch.setattr(client, "deploy", lambda _, name, __: course.append(f"+{name}"))
    monkeypatch.setattr(client, "delete_workloads", lambda _, name: course.append(f"-{name}"))
    known: list[Any] = [{"rules": [{"name": causes_objects.CANNOT, "health": "err"}]}]
    answer = {"groups": known, "activeAlertmanagers": ["it"]}
    on: Any = Some(platform=Some(prometheus=lambda *_, **__: answer))
    for cause in (
        causes_objects.rule_fails,
        causes_objects.certificate_ends,
        causes_objects.certificate_is_not_made,
    ):
        with pytest.raises(KeyError), cause(on):
            raise KeyError("the proof's own error")
    named = (causes_objects.RULE, causes_objects.ENDS, causes_objects.UNMADE)
    assert course == [word for name in named for word in (f"+{name}", f"-{name}")]
    course.clear()
    causes_objects.clear(on.platform)
    assert course == [f"-{name}" for name in (named[0], causes_objects.DEAF, *named[1:])]


def test_nothing_else_goes_wrong_before_prometheus_has_the_rule_and_delivers_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    read = {"rules": [{"name": causes_objects.CANNOT, "health": "err"}]}
    rules, managers = iter([[], [read]]), iter([[], ["it"]])

    def prometheus(path: str, **_: str) -> Any:
        return {"groups": next(rules)} if path == "rules" else {"activeAlertmanagers": next(managers)}

    monkeypatch.setattr(client, "deploy", lambda *_: None)
    monkeypatch.setattr(client, "delete_workloads", lambda *_: None)
    on: Any = Some(platform=Some(prometheus=prometheus))
    assert next(iter(causes.CAUSES)) == "RuleEvaluationFails"
    with causes_objects.rule_fails(on):
        assert list(rules) == []
        assert list(managers) == []


# --- the proof and its faults -------------------------------------------------------------------------------


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What is loaded, and what is told of all that is caused; tests change both."""
    rules = {name: {"duration": 5} for name in ("TargetDown", "TrinoOutOfMemory", "TrinoDown", "Watchdog")}
    rules |= {name: {"duration": 5} for name in ("FeedbackStalls", "LiveQualityFalls", "ReactionFails")}
    caused: dict[str, Any] = {name: {} for name in rules if name in causes.CAUSES}
    made: dict[str, Any] = {"rules": rules, "told": caused, "serving": [], "begun": []}

    @contextmanager
    def prepared(_: Any, __: Any, *, serving: bool) -> Iterator[scene.Scene]:
        made["serving"].append(serving)
        platform: Any = Some(name=monitoring_alerts.LOCAL)
        yield scene.Scene(platform, MagicMock())

    @contextmanager
    def begun(_: Any, alerts: set[str]) -> Iterator[None]:
        made["begun"].append(alerts)
        yield

    monkeypatch.setattr(causes, "begun", begun)
    monkeypatch.setattr(scene, "prepared", prepared)
    monkeypatch.setattr(causes_objects, "clear", lambda _: None)
    monkeypatch.setattr(probe, "workload_image", lambda _: IMAGE)
    monkeypatch.setattr(alarms, "rules", lambda _: made["rules"])
    monkeypatch.setattr(alarms, "firing", lambda _: set())
    monkeypatch.setattr(alarms, "received", lambda *_: dict.fromkeys(made["told"], 0.0))
    monkeypatch.setattr(alarms, "ways", lambda *_: [way(name, **said) for name, said in made["told"].items()])
    monkeypatch.setattr(monitoring_alerts, "PATIENCE", 0)
    monkeypatch.setattr(subject, "TO_END", 0)
    return made


def prove(name: str = monitoring_alerts.LOCAL) -> Check:
    check = Check()
    platform: Any = Some(name=name)
    subject.every_other_alert_is_told_of(platform, check)
    return check


def test_it_holds_when_all_that_is_loaded_is_caused_and_arrives(world: dict[str, Any]) -> None:
    assert len(prove().asserted) == 1 + len(world["told"]) + 3
    assert world["begun"] == [set(world["told"])]
    assert "TrinoDown" not in world["told"]


def test_a_loaded_alert_without_a_cause_is_named(world: dict[str, Any]) -> None:
    world["rules"]["NobodyCauses"] = {"duration": 5}
    with pytest.raises(Broken, match=r"each loaded alert has a cause .*NobodyCauses"):
        prove()
    assert world["begun"] == []


def test_one_that_does_not_arrive_is_named(world: dict[str, Any]) -> None:
    del world["told"]["TargetDown"]
    with pytest.raises(ClientError, match="TargetDown to be received as firing"):
        prove()


def test_one_that_is_late_is_found_out(world: dict[str, Any]) -> None:
    world["told"]["TargetDown"] = {"received": 121.0}
    with pytest.raises(Broken, match="in the time that the settings allow"):
        prove()


def test_models_and_routes_are_prepared_where_their_rules_are_loaded(world: dict[str, Any]) -> None:
    prove()
    for name in ("RouteErrors", "GatewayErrors"):
        world["rules"][name] = {"duration": 5}
        world["told"][name] = {}
    prove()
    assert world["serving"] == [False, True]


def test_it_breaks_nothing_of_anybody_else(world: dict[str, Any]) -> None:
    with pytest.raises(Skip, match="makes requests"):
        prove("prod")
    assert world["serving"] == []


def test_an_alert_that_fires_at_once_need_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    def prometheus(path: str, **asked: str) -> Any:
        if path == "rules":
            rule = {"name": "TrinoOutOfMemory", "query": "failed > 0", "duration": 0}
            patient = {**rule, "duration": 300}
            return {"groups": [{"interval": 5, "rules": [rule, patient]}]}
        return {"result": [] if "ALERTS" in asked["query"] else [{"values": [[101, "1"]]}]}

    monkeypatch.setattr(alarms, "received", lambda *_: {"TrinoOutOfMemory": 107.0})
    monkeypatch.setattr(alarms, "scrape_interval", lambda _: 5.0)
    monkeypatch.setattr(alarms, "group_wait", lambda _: 1.0)
    platform: Any = Some(prometheus=prometheus)
    (found,) = alarms.ways(platform, ["TrinoOutOfMemory"], 90.0)
    assert found.pending
    assert found.allowed == 11.0


def test_an_alert_that_nobody_causes_is_loaded_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: dict[str, Any] = {}
    still: list[str] = []
    """What Prometheus has for one look more, after it was taken away."""

    @contextmanager
    def added(_: Any, kind: str, plural: str, spec: Any) -> Iterator[None]:
        loaded[spec["groups"][0]["rules"][0]["alert"]] = kind
        yield
        still.extend(loaded)
        loaded.clear()

    monkeypatch.setattr(damage_alerts, "monitoring_object", added)
    monkeypatch.setattr(alarms, "rules", lambda _: {still.pop(): {}} if still else loaded)
    platform: Any = None
    with damage_alerts.uncaused(platform):
        assert causes.uncaused(loaded) == {damage_alerts.NOBODYS}
    assert (loaded, still) == ({}, [])
