"""Katib in cloud stacks: its manifests as provisioned, and the Experiment against Katib's own schema."""

import copy
import functools
import json
import re
from typing import Any

import pytest

import workloads
from infra import patching, releases
from infra.components.tuning import katib
from infra.components.tuning.settings import KatibSettings
from infra.errors import ReleaseError
from infra.settings_base import Resources
from infra.upstream import Manifest
from local import manifests
from local.errors import LocalError
from local.progress import Silent
from tests.unit.fake_cloud import FakeCloud, database, provision
from tests.unit.infra_stacks import STACKS, built, lacks_upstream
from workloads.tune_delay import config, katib_trial
from workloads.tune_delay.config import METRIC, SPACE

IMAGE = "registry.example/seatrial/workloads:0123"
SCHEMA = "pkg/apis/v1beta1/swagger.json"
FILTER = re.compile(r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)")
"""What Katib's collector looks for in each line when nothing else is asked for."""


# --- the experiment ---------------------------------------------------------------------------------------


@functools.cache
def definitions() -> dict[str, Any]:
    """Of Katib's kinds, from its Go module. The definition that the API server gets accepts everything."""
    release = releases.load()["katib"]
    assert release.manifests
    wanted = manifests.Wanted("katib", release.version, release.manifests.module, (SCHEMA,))
    try:
        manifests.ensure([wanted], Silent())
    except LocalError as error:
        pytest.skip(f"Katib's schema is missing: {error}")
    found = json.loads((manifests.folder() / f"katib-{release.version}" / SCHEMA).read_text())
    made: dict[str, Any] = found["definitions"]
    return made


def complaints(value: Any, schema: dict[str, Any], where: str) -> list[str]:
    """What of a value is not as the schema says; unknown fields are complained of, kinds of others not."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return complaints(value, definitions()[name], where) if name in definitions() else []
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "number": (int, float)}
    kind = kinds.get(schema.get("type", ""), object)
    if not isinstance(value, kind) or isinstance(value, bool) != (schema.get("type") == "boolean"):
        return [f"{where} is {value!r}, not a {schema.get('type')}"]
    if isinstance(value, list):
        items = [complaints(each, schema["items"], f"{where}[]") for each in value]
        return [line for lines in items for line in lines]
    if not isinstance(value, dict):
        return []
    known, others = schema.get("properties", {}), schema.get("additionalProperties")
    lines = [f"{where} lacks {name}" for name in schema.get("required", ()) if name not in value]
    for name, each in value.items():
        if name in known or others:
            lines += complaints(each, known.get(name) or others, f"{where}.{name}")
        else:
            lines.append(f"{where} has no field {name}; it has: {', '.join(known)}")
    return lines


def experiment(**options: Any) -> dict[str, Any]:
    [made] = workloads.manifest("tune_delay", IMAGE, form="Experiment", **options)
    return made


@pytest.mark.parametrize("name", ["reference", "tiny"])
def test_the_experiment_is_as_katibs_own_schema_says(name: str) -> None:
    made = experiment(config=name)
    schema = {"$ref": "#/definitions/v1beta1.Experiment"}
    assert complaints(made, schema, "experiment") == []


def test_what_the_schema_does_not_know_is_found() -> None:
    """The check must be able to fail: a wrong name, and a wrong type far down."""
    broken = copy.deepcopy(experiment())
    broken["spec"]["parallelTrials"] = 2
    broken["spec"]["parameters"][0]["feasibleSpace"]["min"] = 0.1
    found = complaints(broken, {"$ref": "#/definitions/v1beta1.Experiment"}, "experiment")
    assert [line.partition(";")[0] for line in found] == [
        "experiment.spec.parameters[].feasibleSpace.min is 0.1, not a string",
        "experiment.spec has no field parallelTrials",
    ]


def test_it_searches_what_optuna_searches() -> None:
    spec, asked = experiment(workers=3)["spec"], config.reference()
    space = {each["name"]: each["feasibleSpace"] for each in spec["parameters"]}
    assert space.keys() == SPACE.keys()
    assert space["learning_rate"] == {"min": "0.0001", "max": "0.03", "distribution": "logUniform"}
    assert space["hidden"] == {"list": ["16", "32", "64", "128"]}
    assert (spec["maxTrialCount"], spec["parallelTrialCount"]) == (asked.trials, 3)
    assert spec["objective"]["objectiveMetricName"] == METRIC
    assert {"name": METRIC, "value": "latest"} in spec["objective"]["metricStrategies"]
    assert spec["algorithm"]["algorithmName"] == asked.sampler


def test_its_algorithm_is_one_that_the_platform_has_an_image_for() -> None:
    provided = {algorithm for algorithms in katib._ALGORITHMS.values() for algorithm in algorithms}
    assert experiment()["spec"]["algorithm"]["algorithmName"] in provided
    assert experiment(config="tiny")["spec"]["algorithm"]["algorithmName"] in provided


def substituted(made: dict[str, Any], values: dict[str, str]) -> list[str]:
    """The command of a trial with these values, as Katib puts them in."""
    template = made["spec"]["trialTemplate"]
    known = {each["name"]: each["reference"] for each in template["trialParameters"]}
    [main] = template["trialSpec"]["spec"]["template"]["spec"]["containers"]
    assert main["name"] == template["primaryContainerName"]
    place = re.compile(r"\$\{trialParameters\.(\w+)\}")
    return [place.sub(lambda found: values[known[found[1]]], word) for word in main["command"]]


def test_a_trial_reads_the_values_where_katib_puts_them() -> None:
    values = {"learning_rate": "0.0123", "weight_decay": "1e-06", "hidden": "64", "batch": "512"}
    python, option, module, *arguments = substituted(experiment(config="tiny"), values)
    assert (python, option, module) == ("python3", "-m", "workloads.tune_delay.katib_trial")
    settings, snapshot, chosen = katib_trial.parameters(arguments)
    assert (settings, snapshot) == (config.tiny(), None)
    assert chosen == {"learning_rate": 0.0123, "weight_decay": 1e-06, "hidden": 64, "batch": 512}


def test_katib_finds_the_figures_in_what_a_trial_prints(capsys: pytest.CaptureFixture[str]) -> None:
    katib_trial.tell(3, {"validation_loss": 0.41239874, METRIC: 0.8712})
    lines = capsys.readouterr().out.splitlines()
    found = {match[1]: match[2] for line in lines if (match := FILTER.fullmatch(line))}
    assert found == {"epoch": "3", "validation_loss": "0.412399", METRIC: "0.871200"}


def test_a_diverged_trial_fails_with_its_cause() -> None:
    with pytest.raises(workloads.common.HopelessError, match="after epoch 2 validation_loss is nan"):
        katib_trial.tell(2, {"validation_loss": float("nan")})


def test_trials_are_restricted_and_wait_in_the_queue() -> None:
    job = experiment(queue="line")["spec"]["trialTemplate"]["trialSpec"]
    assert job["metadata"] == {
        "labels": {**job["metadata"]["labels"], "kueue.x-k8s.io/queue-name": "line"}
    }, "Katib refuses a name of ours"
    pod = job["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["containers"][0]["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert job["spec"]["backoffLimit"] == 0


def test_a_form_that_a_workload_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="tune_delay does not run as MPIJob; it runs as: Job, Experiment"):
        workloads.manifest("tune_delay", IMAGE, form="MPIJob", served={"Job"})
    [job] = workloads.manifest("tune_delay", IMAGE, served={"Job", "Experiment"})
    assert job["kind"] == "Job", "Katib is asked for by name"


# --- the component ----------------------------------------------------------------------------------------


@functools.cache
def made() -> FakeCloud:
    if reason := lacks_upstream():
        pytest.skip(f"upstream manifests or helm are missing: {reason}")
    release = releases.load()["katib"]
    inputs = katib.KatibInputs(
        namespace="here",
        release=release,
        images={name: f"{image}@sha256:0" for name, image in release.image_names()},
        database=database("katib"),
    )
    return provision(lambda: katib.register(KatibSettings(enabled=True), inputs, None))  # type: ignore[arg-type]


def configuration() -> Manifest:
    found: Manifest = json.loads(made().objects["ConfigMap/katib-config"]["data"]["katib-config.yaml"])
    return found


@pytest.mark.parametrize("name", ["katib-controller", "katib-db-manager"])
def test_katib_passes_the_restricted_level_and_has_its_size(name: str) -> None:
    [container] = made().pods()[f"Deployment/{name}"]["containers"]
    assert container["image"].endswith("@sha256:0")
    assert container["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert set(container["resources"]["limits"]) == {"memory"}


def test_nothing_of_the_namespace_that_it_was_written_for_is_left() -> None:
    for key, each in made().objects.items():
        text = json.dumps({field: value for field, value in each.items() if field != "data"})
        assert '"namespace": "kubeflow"' not in text, key
        assert "serviceaccount:kubeflow:" not in text, key


def test_observations_go_into_the_platforms_database_with_its_password_in_a_secret() -> None:
    [container] = made().pods()["Deployment/katib-db-manager"]["containers"]
    env = {each["name"]: each for each in container["env"]}
    assert env["DB_NAME"]["value"] == "postgres", "the driver's name"
    assert (env["DB_USER"]["value"], env["KATIB_POSTGRESQL_DB_HOST"]["value"]) == ("katib", "pg")
    secret = env["DB_PASSWORD"]["valueFrom"]["secretKeyRef"]
    assert secret["key"] in made().objects[f"Secret/{secret['name']}"]["data"]


def test_a_katib_that_is_away_keeps_no_pod_from_starting() -> None:
    hooks = [hook for each in made().objects.values() for hook in each.get("webhooks", ())]
    [pods] = [hook for hook in hooks if hook["rules"][0]["resources"] == ["pods"]]
    assert pods["failurePolicy"] == "Ignore"
    assert pods["namespaceSelector"]["matchLabels"] == katib.INJECTION


def test_what_katib_puts_beside_trials_is_restricted_too() -> None:
    assert configuration()["init"]["controller"]["injectSecurityContext"] is True
    for each in configuration()["runtime"]["suggestions"]:
        assert each["securityContext"]["runAsNonRoot"] is True
        assert each["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert each["image"].endswith("@sha256:0")


@pytest.mark.parametrize("stack", STACKS)
def test_katib_is_in_cloud_stacks_alone(stack: str) -> None:
    names = {each.name for each in built(stack).objects}
    there = stack != "local"
    assert ("platform-ml/katib-controller" in names) == there
    [namespace] = [each for each in built(stack).of_kind("Namespace") if each.name == "workloads"]
    assert (katib.INJECTION.items() <= namespace.inputs["metadata"]["labels"].items()) == there


def test_nothing_of_katib_is_fetched_or_built_for_the_local_stack() -> None:
    assert "katib" not in {name for name, *_ in releases.local_manifests()}
    assert "katib" in {name for name, *_ in releases.upstream_manifests()}
    assert not any("katib" in image for image, *_ in releases.local_images())
    assert any("katib-controller" in image for image, *_ in releases.upstream_images())


OTHER: Manifest = {"kind": "Service", "metadata": {"name": "a"}}


@pytest.mark.parametrize(
    "patch", [katib.webhooks_of("here"), katib.sized({"katib-controller": Resources(memory="1Mi")})]
)
def test_a_patch_that_finds_nothing_to_change_fails(patch: patching.Patch) -> None:
    with pytest.raises(ReleaseError, match="no longer have what is patched"):
        patch([copy.deepcopy(OTHER)])
