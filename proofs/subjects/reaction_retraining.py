"""Drift is answered by a training, and traffic is for what it makes better."""

import ast
from typing import Any

import yaml

from client import Platform, models, traffic
from proofs import reaction as probes
from proofs import rollouts, trainings
from proofs.reaction import RETRAIN, Reaction
from proofs.rollouts import FIRST, LITTLE, NEXT_TO_NOTHING
from proofs.run import Check, proof
from proofs.subjects.serving_gateway import require_part
from workloads.generate_load.load import Running
from workloads.ingest_flights import config as ingest

ENOUGH = {"epochs": "4"}
"""Settings by which a training is better than one that learned next to nothing."""
MONTHS = {"train": 2, "validation": 1, "test": 1}
"""The newest of the load: few, so that it is soon done, and none that the reference training learns from."""
TRAINS, STARTS = 300.0, 600.0
"""Seconds within which a training is compared, and its version is a canary that has answered."""


@proof("reaction")
def a_version_that_is_not_better_gets_no_traffic(platform: Platform, check: Check) -> None:
    """An alert of drift trains a new version on the newest months; one that is not better than the served
    one, on the same flights, is registered, and nobody is sent to it.
    """
    require_part(platform, check)
    trainings.require_part(platform, check)
    with (
        rollouts.served(platform, FIRST) as (served,),
        probes.reacting(platform, policy(NEXT_TO_NOTHING)) as reaction,
    ):
        reaction.tell_of_drift()
        (done,) = reaction.until_finished(RETRAIN, TRAINS)
        check(
            done["result"].startswith("not better: "), "the new version is not better", result=done["result"]
        )
        check.equal(done["rule"], "drift", "the trail names the rule")
        found = done["detail"]
        check(found["comparison"]["low"] > 0, "it is worse by the numbers", comparison=found["comparison"])
        check(found["new"]["model"] == rollouts.NAME, "it is registered, with its run", new=found["new"])
        there = {each.version for each in models.served(platform, rollouts.NAME)}
        check.equal(there, {served}, "it is not served")
        check.equal(probes.weights(platform), {served: traffic.TOTAL}, "the other has all traffic")


@proof("reaction")
def drift_is_answered_by_a_better_version(platform: Platform, check: Check) -> None:
    """An alert of drift trains a new version on the newest months, which the served one does not know: once,
    though the controller is killed meanwhile. It is better on flights of which neither learned, and becomes a
    canary without a failed request.
    """
    require_part(platform, check)
    trainings.require_part(platform, check)
    with (
        rollouts.served(platform, LITTLE) as (served,),
        probes.reacting(platform, policy(ENOUGH)) as reaction,
    ):
        reaction.tell_of_drift()
        reaction.until_noted(RETRAIN, "training ", 60)
        probes.kill(platform)
        (done,), failed = becomes_canary(platform, reaction)
        check.equal(done["result"], "done", "the retraining was done")
        found = done["detail"]
        check(found["comparison"]["high"] < 0, "it is better by the numbers", comparison=found["comparison"])
        new = found["canary"]
        given = int(traffic.TOTAL * probes.SHARE / 100)
        shares = {served: traffic.TOTAL - given, new: given}
        check.equal(probes.weights(platform), shares, "it has a canary's share of the traffic")
        check.equal(failed, 0, "no request failed meanwhile")
        rollouts.until_answered_by(platform, {served, new})
        runs = trainings.mlflow_runs(platform, found["training"])
        check.equal(len(runs), 1, "one training was run, by two controllers")
        learns_what_is_new(platform, check, runs[0], served)


def learns_what_is_new(platform: Platform, check: Check, run: Any, served: str) -> None:
    """The run's months are the newest of the lake; the version that served has learned from none of them."""
    mlflow = platform.mlflow()
    of_served = mlflow.get_run(mlflow.get_model_version(rollouts.NAME, served).run_id)
    (tested,) = months(run, "test")
    learned, known = ({*months(each, "train"), *months(each, "validation")} for each in (run, of_served))
    there = platform.sql(f"SELECT DISTINCT month FROM iceberg.{ingest.SCHEMA}.flights")
    newest = sorted(month for (month,) in there)[-sum(MONTHS.values()) :]
    check.equal(
        [*sorted(learned), tested], newest, "it learned from the newest months, the last but for its test"
    )
    check(not known & {*newest}, "the served version knows none of them", known=sorted(known))
    check.equal(run.data.params["against"], f"{rollouts.NAME}/{served}", "both were scored in its test")


def months(run: Any, part: str) -> tuple[int, ...]:
    """Of a training's run."""
    named: tuple[int, ...] = ast.literal_eval(run.data.params[f"{part}_months"])
    return named


def policy(settings: dict[str, str]) -> str:
    """How the proofs' model is trained anew, and how much its canary must answer."""
    how = {
        "config": "reference",
        "months": MONTHS,
        "set": {**settings, "model": rollouts.NAME},
        "deadline": "10m",
        "steps": [probes.SHARE],
        "requests": 50,
        "patience": "3m",
    }
    return yaml.safe_dump({"training": how})


def becomes_canary(platform: Platform, reaction: Reaction) -> tuple[list[dict[str, Any]], int]:
    """What the retraining came to, under load from the moment when there is a canary; and failed requests."""
    reaction.until_noted(RETRAIN, "becomes a canary", TRAINS)
    with Running(rollouts.plan(platform, requests=50_000)) as load:
        done = reaction.until_finished(RETRAIN, STARTS)
        load.stop()
        return done, load.result().failed
