"""The search for settings: exactly the trials that were asked for, whoever is killed; seen and registered."""

import json
import random
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import httpx
import pandas as pd

import client
import workloads
from client import Platform, outputs
from client.jobs import Handle
from proofs import probe
from proofs.run import Check, proof
from workloads.train_delay import metrics
from workloads.tune_delay import config

SETTINGS = config.tiny()
NAME, KILLS_NAME = "probe-tuning", "probe-tuning-kills"
RESULTS = ("COMPLETE", "PRUNED")
SEED, KILLS, LONG = 13, 3, 60
"""Of the killings: where chance starts, how many, and epochs a trial, so that there is time to kill."""


@dataclass(frozen=True)
class Try:
    """One row of Optuna's table of trials."""

    number: int
    state: str
    slot: int | None
    value: float | None
    epochs: int
    worker: str
    retry_of: int | None
    """The try directly before this one, where its worker was lost."""
    parameters: dict[str, float]


TRIES = """
SELECT t.number, t.state::text,
  (SELECT value_json FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = 'slot'),
  (SELECT value FROM trial_values v WHERE v.trial_id = t.trial_id),
  (SELECT count(*) FROM trial_intermediate_values i WHERE i.trial_id = t.trial_id),
  (SELECT value_json FROM trial_user_attributes a WHERE a.trial_id = t.trial_id AND a.key = 'worker'),
  (SELECT value_json FROM trial_system_attributes a
    WHERE a.trial_id = t.trial_id AND a.key = 'retry_history'),
  (SELECT json_object_agg(param_name, param_value) FROM trial_params p WHERE p.trial_id = t.trial_id)
FROM trials t JOIN studies s USING (study_id) WHERE s.study_name = %s ORDER BY t.number
"""


def tries(platform: Platform, study: str) -> list[Try]:
    """All tries of a study, as PostgreSQL has them; none while Optuna has no tables."""
    with platform.studies() as database:
        if database.execute("SELECT to_regclass('trials')").fetchone()[0] is None:
            return []
        rows = database.execute(TRIES, [study]).fetchall()
    return [
        Try(
            number, state, None if slot is None else json.loads(slot), value, epochs,
            json.loads(worker or '""'), json.loads(before or "[null]")[-1], parameters or {},
        )
        for number, state, slot, value, epochs, worker, before, parameters in rows
    ]  # fmt: skip


def start(platform: Platform, name: str, study: str, workers: int, *arguments: str) -> Handle:
    """Deploy the workers of a study; their Job."""
    objects = workloads.manifest(
        "tune_delay", probe.workload_image(platform), name=name, config="tiny", workers=workers,
        arguments=["--study", study, *arguments],
    )  # fmt: skip
    client.deploy(platform, name, objects, wait=False)
    (job,) = client.jobs.jobs(platform, objects)
    return job


def require_part(platform: Platform, check: Check) -> None:
    """Skip where no studies are kept."""
    if not set(outputs.SECRET_ACCESS_OF["tuning"]) <= set(platform.access):
        check.skip("the part tuning is not provisioned (seatrial up --with tuning)")


@lru_cache(maxsize=1)
def studied(platform: Platform) -> str:
    """A study that two workers did just now, by name."""
    study = f"{NAME}-{int(time.time())}"
    try:
        client.jobs.follow(start(platform, NAME, study, 2), 300)
    finally:
        client.delete_workloads(platform, NAME)
    return study


def whole(check: Check, found: list[Try], count: int) -> None:
    """Every trial that was asked for has exactly one result, and every lost try has one successor."""
    states = Counter(each.state for each in found)
    results = Counter(each.slot for each in found if each.state in RESULTS)
    lost = sorted(set(range(count)) - set(results))
    twice = sorted(str(slot) for slot, times in results.items() if times > 1 or slot not in range(count))
    check.equal([each.number for each in found], list(range(len(found))), "trials are numbered once each")
    check.equal(states["RUNNING"] + states["WAITING"], 0, "no trial is left running or waiting")
    check(not lost, "no trial that was asked for is lost", lost=lost, states=dict(states))
    check(not twice, "no trial has two results", twice=twice, states=dict(states))
    check.equal(len(found), count + states["FAIL"], "results and lost tries are all there is")
    valueless = [each.number for each in found if each.state in RESULTS and each.value is None]
    check(not valueless, "each result has a value", valueless=valueless)
    failed = [each.number for each in found if each.state == "FAIL"]
    retried = sorted(each.retry_of for each in found if each.retry_of is not None)
    check.equal(retried, failed, "each lost try was tried again once")
    for each in found:
        if each.retry_of is not None and found[each.retry_of].parameters:
            same = found[each.retry_of].parameters.items() <= each.parameters.items()
            check(same, f"trial {each.number} has the parameters of {each.retry_of}, which was lost")


@proof("tuning")
def a_study_ends_with_exactly_its_trials(platform: Platform, check: Check) -> None:
    """Two workers end with exactly the number of results that was asked for, each trial once."""
    require_part(platform, check)
    whole(check, tries(platform, studied(platform)), SETTINGS.trials)


@proof("tuning", needs=["tuning.a_study_ends_with_exactly_its_trials"])
def hopeless_trials_are_cut_short(platform: Platform, check: Check) -> None:
    """The pruner ended some trials before their last epoch, and none of the complete ones."""
    require_part(platform, check)
    found = tries(platform, studied(platform))
    pruned = [each for each in found if each.state == "PRUNED"]
    check(bool(pruned), "a trial was pruned", states=Counter(each.state for each in found))
    for each in pruned:
        check(
            each.epochs < SETTINGS.training.epochs, f"trial {each.number} was cut short", epochs=each.epochs
        )
    for each in found:
        if each.state == "COMPLETE":
            check.equal(each.epochs, SETTINGS.training.epochs, f"trial {each.number} ran all epochs")


@proof("tuning", needs=["tuning.a_study_ends_with_exactly_its_trials"])
def the_best_trial_is_registered(platform: Platform, check: Check) -> None:
    """The version names the study's best trial, gives its value again, and its figures can be recomputed."""
    require_part(platform, check)
    study, mlflow = studied(platform), platform.mlflow()
    best = max(
        (each for each in tries(platform, study) if each.state == "COMPLETE"),
        key=lambda each: (each.value, -each.number),
    )
    versions = mlflow.search_model_versions(f"name = '{SETTINGS.training.model}'")
    ours = [version for version in versions if version.tags.get("study") == study]
    check.equal(len(ours), 1, "one version was registered, by one of the workers")
    tags, run = ours[0].tags, mlflow.get_run(ours[0].run_id)
    check.equal(tags.get("trial"), str(best.number), "the version names the best trial")
    check.equal(run.info.status, "FINISHED", "its run is finished")
    for name in ("snapshot_id", "code_sha256", "data_sha256", "image", "tuning_code_sha256"):
        check(bool(tags.get(name)), f"the version names its {name}")
    again = run.data.metrics["validation_roc_auc"]
    check(abs(again - float(best.value or 0)) < 1e-6, "training again gave the trial's value", again=again)
    with tempfile.TemporaryDirectory() as folder:

        def left(name: str) -> Path:
            return Path(mlflow.download_artifacts(run.info.run_id, name, folder))

        logged = json.loads(left("evaluation.json").read_text())
        rows = pd.read_parquet(left("predictions.parquet"))
        course = json.loads(left("optimization_history.json").read_text())
    labels = (rows["arr_delay"] > SETTINGS.training.late_minutes).to_numpy(dtype="float32")
    figures = metrics.summary(labels, rows["late_probability"].to_numpy(), logged["threshold"])
    for name, value in figures.items():
        check(abs(value - logged["metrics"][name]) < 1e-6, f"{name} is the logged one", again=value)
    check.equal(len(course["trials"]), len(tries(platform, study)), "the course of the study is kept with it")
    check.attach("optimization", course)


@proof("tuning", needs=["tuning.a_study_ends_with_exactly_its_trials"])
def the_dashboard_shows_the_study(platform: Platform, check: Check) -> None:
    """Optuna's dashboard answers, and shows the study with its trials."""
    require_part(platform, check)
    study, url = studied(platform), platform.local("OPTUNA_DASHBOARD_URL").geturl().rstrip("/")
    try:
        listed = httpx.get(f"{url}/api/studies", timeout=30, trust_env=False).raise_for_status().json()
    except httpx.HTTPError as error:
        cause = platform.complaint("OPTUNA_DASHBOARD_URL") or str(error)
        raise LookupError(f"Optuna's dashboard does not answer: {cause}") from error
    ids = [each["study_id"] for each in listed["study_summaries"] if each["study_name"] == study]
    check.equal(len(ids), 1, "the dashboard lists the study")
    answer = httpx.get(f"{url}/api/studies/{ids[0]}", timeout=30, trust_env=False).raise_for_status()
    check.equal(len(answer.json()["trials"]), len(tries(platform, study)), "it shows every trial")


@proof("tuning")
def killed_workers_lose_no_trial(platform: Platform, check: Check) -> None:
    """Workers are killed in their trials; still each trial that was asked for gets exactly one result."""
    require_part(platform, check)
    study = f"{KILLS_NAME}-{int(time.time())}"
    try:
        job = start(platform, KILLS_NAME, study, 3, "--epochs", str(LONG), "--set", "pruner=none")
        killed = kill_some(platform, job, study)
        client.jobs.follow(job, 240)
    finally:
        client.delete_workloads(platform, KILLS_NAME)
    found = tries(platform, study)
    whole(check, found, SETTINGS.trials)
    lost = [each.number for each in found if each.state == "FAIL"]
    check(
        bool(set(lost) & set(killed)), "a kill hit a trial, which was tried again", killed=killed, lost=lost
    )


def kill_some(platform: Platform, job: Handle, study: str) -> list[int]:
    """Kill the worker of a running trial, a few times; returns the numbers of those trials."""
    dice, killed = random.Random(SEED), list[int]()
    deadline = time.monotonic() + 120
    while (
        len(killed) < KILLS and time.monotonic() < deadline and not job.read()["status"].get("completionTime")
    ):
        time.sleep(dice.uniform(0.2, 1.0))
        found = tries(platform, study)
        victims = [each for each in found if each.state == "RUNNING" and each.worker and each.epochs]
        victims = [each for each in victims if each.number not in killed]
        if victims:
            victim = dice.choice(victims)
            kill(platform, job, victim.worker.rpartition("-")[2])
            killed.append(victim.number)
    return killed


def kill(platform: Platform, job: Handle, index: str) -> None:
    """Take a worker's pod away at once: its processes get SIGKILL."""
    selector = f"{job.selector},{client.pods.INDEX_LABEL}={index}"
    for pod in platform.core.list_namespaced_pod(job.namespace, label_selector=selector).items:
        if pod.status.phase == "Running":
            platform.core.delete_namespaced_pod(pod.metadata.name, job.namespace, grace_period_seconds=0)
