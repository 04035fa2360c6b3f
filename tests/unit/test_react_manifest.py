"""The objects of the reaction: what its account may do, and that its image has what it imports."""

import ast
import importlib.metadata
import re
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Counter, Gauge

import workloads
from infra import alerts
from infra.components.monitoring import routing
from react import metrics, policy
from react.decide import decide
from react.main import react
from react.policy import PAGE, RETRAIN, ROLLBACK, Months
from tests.unit.reaction import alert, at
from workloads.common import HopelessError
from workloads.react import manifest
from workloads.react.config import React, reference

IMAGE = "registry.example/seatrial/workloads:0123"
ROOT = Path(__file__).parents[2]
NOT_USED = {"trino"}
"""What `client` imports when it is asked for what the reaction does not ask for."""


@pytest.fixture
def objects() -> list[dict[str, Any]]:
    return workloads.manifest("react", IMAGE)


def of_kind(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (found,) = [each for each in objects if each["kind"] == kind]
    return found


def test_its_account_may_do_what_it_does_and_nothing_with_secrets(objects: list[dict[str, Any]]) -> None:
    role = of_kind(objects, "Role")
    rights = {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }
    assert rights == {
        ("httproutes", "get"), ("httproutes", "update"),
        ("inferenceservices", "get"), ("inferenceservices", "list"), ("inferenceservices", "create"),
        ("inferenceservices", "patch"),
        ("deployments", "get"), ("horizontalpodautoscalers", "delete"),
        ("trainjobs", "get"), ("trainjobs", "create"), ("trainjobs", "patch"), ("trainjobs", "delete"),
        ("localqueues", "get"), ("workloads", "list"),
        ("pods", "get"), ("pods", "list"), ("pods", "watch"), ("pods/log", "get"), ("events", "list"),
    }  # fmt: skip
    binding = of_kind(objects, "RoleBinding")
    assert binding["roleRef"]["kind"] == "Role"
    spec = of_kind(objects, "Deployment")["spec"]["template"]["spec"]
    assert spec["serviceAccountName"] == binding["subjects"][0]["name"] == "react"


def test_one_process_runs_in_its_own_image_and_knows_that_of_trainings(objects: list[dict[str, Any]]) -> None:
    spec = of_kind(objects, "Deployment")["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    (main,) = spec["template"]["spec"]["containers"]
    assert main["image"] == "registry.example/seatrial/react:0123"
    assert {"name": "TRAINING_IMAGE", "value": IMAGE} in main["env"]
    secrets = {
        each["name"]: each["valueFrom"]["secretKeyRef"]
        for each in main["env"]
        if "secretKeyRef" in each.get("valueFrom", {})
    }
    assert secrets["REACT_TOKEN"] == {"name": "react-token", "key": "token", "optional": False}
    assert secrets["PAGE_URL"]["optional"] is True
    assert main["ports"][0]["containerPort"] == reference().port
    assert main["command"] == ["python3", "-m", "react.main"]


def test_another_policy_is_another_pod() -> None:
    text = "rules: [{name: a, match: {x: y}, action: page}]"
    one, other = (workloads.manifest("react", IMAGE, policy=each) for each in (None, text))
    assert of_kind(other, "ConfigMap")["data"]["policy.yaml"] == text
    templates = [of_kind(each, "Deployment")["spec"]["template"] for each in (one, other)]
    assert templates[0] != templates[1]


def test_the_policy_that_comes_with_it_is_one(objects: list[dict[str, Any]]) -> None:
    chosen = policy.parse(of_kind(objects, "ConfigMap")["data"]["policy.yaml"])

    def action(name: str, **labels: str) -> str:
        return decide(chosen, alert(name, **labels), at(15), []).action

    assert action("ModelFails") == ROLLBACK
    assert action("PredictionsDrift", severity="warning") == RETRAIN
    assert action("ObjectStoreDown") == PAGE
    assert chosen.training.months == Months(train=5, validation=1, test=1), "as many as the reference has"


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ("{months: {train: 5}, set: {test_months: '7'}}", "set may not have test_months"),
        ("{set: {against: delay-c/3}}", "set may not have against"),
        ("{months: {train: 11, validation: 1, test: 1}}", "no more than 12, it is 13"),
        ("{months: {train: 0}}", "training.months.train: "),
    ],
)
def test_what_a_retraining_takes_is_said_once(training: str, words: str) -> None:
    rules = "rules: [{name: a, match: {x: y}, action: retrain}]"
    with pytest.raises(HopelessError, match=words):
        policy.parse(f"{rules}\ntraining: {training}")


def test_its_alert_asks_for_series_that_there_are_and_is_answered_by_people(
    objects: list[dict[str, Any]],
) -> None:
    watched = of_kind(objects, "PrometheusRule")
    assert watched["metadata"]["labels"]["app.kubernetes.io/part-of"] == "seatrial"
    (rule,) = watched["spec"]["groups"][0]["rules"]
    known = {
        each._name + ("_total" if each._type == "counter" else "")
        for each in vars(metrics).values()
        if isinstance(each, Counter | Gauge)
    }
    assert set(re.findall(r"reaction_\w+", rule["expr"])) <= known
    asked = re.findall(r'result=~"([^"]+)"', rule["expr"])[0].split("|")
    assert set(asked) <= set(metrics.RESULTS)
    assert (ROOT / rule["annotations"]["runbook_url"]).is_file()
    chosen = policy.parse(manifest.POLICY.read_text())
    own = {"alertname": rule["alert"], **rule["labels"]}
    assert chosen.rule_of(own) is None, "or it would react to itself"


def test_every_way_to_end_is_counted_from_the_start() -> None:
    metrics.begin()
    sources = (ROOT / "react/act.py").read_text() + (ROOT / "react/controller.py").read_text()
    ended = set(re.findall(r'"([a-z]+(?: [a-z]+)?): ', sources))
    assert {"refused", "failed", "not better", "rolled back", "untold"} <= ended
    for result in ("refused", "failed", "not better", "rolled back", "untold", "done"):
        assert result in metrics.RESULTS


def test_a_process_that_has_just_begun_is_not_said_to_have_stopped_looking() -> None:
    metrics.LOOKED.set(0)
    metrics.begin()
    assert time.time() - metrics.LOOKED._value.get() < 60


def test_its_image_has_what_it_imports() -> None:
    text = (ROOT / "local/images/recipes/react/requirements.txt").read_text()
    fixed = set(re.findall(r"^([a-z0-9-]+)(?:\[\S+\])?==", text, re.MULTILINE))
    shared = [ROOT / f"workloads/train_delay/{name}.py" for name in ("features", "metrics")]
    files = [*ROOT.glob("react/*.py"), *ROOT.glob("client/*.py"), *shared]
    imported = {name for file in files for name in packages(file)} - NOT_USED
    assert {"kubernetes", "fastapi", "psycopg", "mlflow", "boto3", "yaml", "websocket"} <= imported
    known = importlib.metadata.packages_distributions()
    lacking = {
        name for name in imported if not {each.lower().replace("_", "-") for each in known[name]} & fixed
    }
    assert lacking == set()


def packages(file: Path) -> set[str]:
    """What a file imports that is neither ours nor Python's own."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    ours = {"client", "infra", "react", "workloads"}
    return {name.partition(".")[0] for name in names} - ours - set(sys.stdlib_module_names)


def test_its_image_has_the_code_that_it_imports_and_no_more_of_what_is_provisioned() -> None:
    from local.images import recipe

    made = recipe.load("react")
    files = {
        str(path.relative_to(ROOT)) for each in made.code for path in recipe.code_files(made, each, ROOT)
    }
    assert {
        "infra/outputs.py",
        "client/inside.py",
        "react/main.py",
        "react/migrations/0001_trail.sql",
    } <= files
    assert {name for name in files if name.startswith("infra/")} == {"infra/__init__.py", "infra/outputs.py"}


def test_settings_and_a_policy_that_do_not_fit_are_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(HopelessError, match="setting every must be more than 0, it is 0"):
        React(every=0)
    with pytest.raises(HopelessError, match="setting schema must be a name like reaction, it is 'a b'"):
        React(schema="a b")
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump({"rules": []}))
    with pytest.raises(HopelessError, match=r"policy\.yaml is not valid"):
        react(reference(), file)


def test_alertmanager_tells_it_everything_and_again_before_it_is_stale(objects: list[dict[str, Any]]) -> None:
    told = of_kind(objects, "AlertmanagerConfig")
    assert routing.RECEIVERS.items() <= told["metadata"]["labels"].items()
    (receiver,) = told["spec"]["receivers"]
    (webhook,) = receiver["webhookConfigs"]
    service = of_kind(objects, "Service")["metadata"]
    assert webhook["url"] == f"http://{service['name']}.{service['namespace']}.svc.cluster.local/alerts"
    assert (webhook["sendResolved"], webhook["maxAlerts"]) == (True, 0)
    credentials = webhook["httpConfig"]["authorization"]["credentials"]
    assert credentials == {"name": "react-token", "key": "token"}
    chosen = policy.parse(of_kind(objects, "ConfigMap")["data"]["policy.yaml"])
    assert alerts.seconds(told["spec"]["route"]["repeatInterval"]) < chosen.stale.total_seconds()
    (heartbeat,) = told["spec"]["route"]["matchers"]
    assert (heartbeat["value"], heartbeat["matchType"]) == (routing.HEARTBEAT, "!=")
