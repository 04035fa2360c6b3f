"""The trained model: equal on all ranks, better than guessing, and traceable to its data and code."""

import json
import tempfile
from functools import lru_cache
from pathlib import Path

import httpx
import pandas as pd

from client import Platform
from proofs import trainings
from proofs.run import Check, proof
from workloads.ingest_flights import config as ingest
from workloads.ingest_flights.main import content_hash, read_source
from workloads.train_delay import config, metrics

SETTINGS = config.reference()
MARGIN = 0.15
"""By how much the accuracy must be above always saying the more frequent answer."""
LEAST_AUC = 0.85


class Trained:
    """The latest registered version with its run and what the run left."""

    def __init__(self, platform: Platform) -> None:
        self.mlflow = platform.mlflow()
        try:
            versions = self.mlflow.search_model_versions(f"name = '{SETTINGS.model}'")
        except Exception as error:
            cause = platform.complaint("MLFLOW_TRACKING_URI") or str(error)
            raise LookupError(f"MLflow does not answer: {cause}") from error
        if not versions:
            raise LookupError(
                f"MLflow has no model '{SETTINGS.model}'; run `seatrial deploy` with train_delay"
            )
        self.version = max(versions, key=lambda entry: int(entry.version))
        self.run = self.mlflow.get_run(self.version.run_id)
        with tempfile.TemporaryDirectory() as folder:
            self.evaluation = json.loads(self._artifact("evaluation.json", folder).read_text())
            self.predictions = pd.read_parquet(self._artifact("predictions.parquet", folder))

    def _artifact(self, name: str, folder: str) -> Path:
        return Path(self.mlflow.download_artifacts(self.version.run_id, name, folder))


@lru_cache(maxsize=1)
def trained(platform: Platform) -> Trained:
    return Trained(platform)


@proof("training")
def all_ranks_hold_the_same_weights(platform: Platform, check: Check) -> None:
    """Both ranks of the registered run ended with the same weights, bit by bit."""
    found = trained(platform)
    hashes = found.evaluation["weights_sha256"]
    check(len(hashes) >= 2, "at least two ranks took part", ranks=len(hashes))
    check.equal(len(set(hashes)), 1, "the ranks' weights have one hash")
    check.equal(
        found.version.tags.get("weights_sha256"), hashes[0], "the registered version is that of these weights"
    )


@proof("training")
def it_beats_the_base_rate(platform: Platform, check: Check) -> None:
    """On the test month the model is right clearly more often than the best constant answer."""
    found = trained(platform)
    values = found.evaluation["metrics"]
    check.equal(tuple(found.evaluation["test_months"]), SETTINGS.test_months, "it was tested on July")
    check(
        values["accuracy"] >= values["base_accuracy"] + MARGIN,
        f"accuracy is at least {MARGIN:.0%} above the base rate",
        accuracy=values["accuracy"],
        base=values["base_accuracy"],
    )
    check(values["roc_auc"] >= LEAST_AUC, f"ROC-AUC is at least {LEAST_AUC}", roc_auc=values["roc_auc"])
    check.attach("evaluation", found.evaluation)


@proof("training")
def it_learned(platform: Platform, check: Check) -> None:
    """The loss of every epoch is logged, and it went down."""
    found = trained(platform)
    history = {
        name: [entry.value for entry in found.mlflow.get_metric_history(found.version.run_id, name)]
        for name in ("train_loss", "validation_loss")
    }
    for name, values in history.items():
        check.equal(len(values), SETTINGS.epochs, f"{name} has a value an epoch")
        check(values[-1] < values[0], f"{name} went down", values=values)
    check.attach("losses", history)


@proof("training")
def the_registry_leads_back(platform: Platform, check: Check) -> None:
    """From the registered version one finds the run, the snapshot, the source and the code."""
    found = trained(platform)
    tags, run = found.version.tags, found.run
    check.equal(run.info.status, "FINISHED", "the version's run is finished")
    check.equal(tags.get("run_id"), run.info.run_id, "the version names its run")
    for name in (
        "snapshot_id", "weather_snapshot_id", "data_sha256", "code_sha256", "features_sha256", "image"
    ):  # fmt: skip
        check(bool(tags.get(name)), f"the version names its {name}")
        check.equal(run.data.tags.get(name), tags.get(name), f"run and version agree on {name}")
    snapshots = platform.sql(f'SELECT snapshot_id FROM iceberg.{ingest.SCHEMA}."flights$snapshots"')
    known = [str(row[0]) for row in snapshots]
    check(tags["snapshot_id"] in known, "the snapshot is one of the table's", snapshot=tags["snapshot_id"])
    source = content_hash(ingest.FLIGHTS, read_source(ingest.FLIGHTS))
    check.equal(tags["data_sha256"], source, "the data was made from this source")
    check.equal(run.data.params.get("seed"), str(SETTINGS.seed), "the run names its seed")


@proof("training", needs=["training.the_registry_leads_back"])
def the_confusion_matrix_can_be_recomputed(platform: Platform, check: Check) -> None:
    """From the logged predictions and the labels in the lake come the logged numbers."""
    found = trained(platform)
    rows, logged = found.predictions, found.evaluation
    labels = (rows["arr_delay"] > SETTINGS.late_minutes).to_numpy(dtype="float32")
    scores = rows["late_probability"].to_numpy()
    again = metrics.confusion(labels, scores, logged["threshold"])
    check.equal(again, logged["confusion"], "the confusion matrix is the logged one")
    for name, value in again.items():
        metric = found.run.data.metrics.get(f"test_{name}")
        check.equal(metric, float(value), f"MLflow has the same {name}")
    for name, score in metrics.summary(labels, scores, logged["threshold"]).items():
        close = abs(score - logged["metrics"][name]) < 1e-6
        check(close, f"{name} is the logged one", again=score, logged=logged["metrics"][name])
    lake = platform.sql(
        f"SELECT carrier, count(*), count_if(arr_delay > {SETTINGS.late_minutes}) "
        f"FROM iceberg.{ingest.SCHEMA}.flights FOR VERSION AS OF {found.version.tags['snapshot_id']} "
        f"WHERE month IN ({', '.join(map(str, SETTINGS.test_months))}) AND arr_delay IS NOT NULL GROUP BY 1"
    )
    late = rows.assign(late=labels).groupby("carrier")["late"].agg(["size", "sum"])
    ours = {carrier: (int(entry["size"]), int(entry["sum"])) for carrier, entry in late.iterrows()}
    check.equal(ours, {row[0]: (row[1], row[2]) for row in lake}, "the labels are those of the snapshot")


@proof("training")
def a_training_runs_now(platform: Platform, check: Check) -> None:
    """A small training runs on two nodes, its ranks agree, and MLflow has each of its losses."""
    found = trainings.whole(platform)
    check.equal(sorted(found.result.messages), ["0", "1"], "both ranks left their account")
    check(
        len(found.weights) == 1 and None not in found.weights,
        "their weights are equal",
        weights=found.weights,
    )
    check.equal(len(set(found.result.nodes.values())), 2, "they ran on two nodes")
    check.equal(
        [step for step, _ in found.losses],
        list(range(trainings.STEPS)),
        "MLflow has the loss of each step once",
    )
    check.equal(found.run.info.status, "FINISHED", "its MLflow run is finished")


@proof("training")
def wrong_mlflow_passwords_are_refused(platform: Platform, check: Check) -> None:
    """MLflow lets nobody in without the right password."""
    url = platform.local("MLFLOW_TRACKING_URI").geturl().rstrip("/") + "/api/2.0/mlflow/experiments/search"
    user = platform.access["MLFLOW_TRACKING_USERNAME"]
    tries = {
        "the right password": ((user, platform.access["MLFLOW_TRACKING_PASSWORD"]), 200),
        "a wrong password": ((user, "wrong"), 401),
        "no password": (None, 401),
    }
    for name, (account, expected) in tries.items():
        answer = httpx.post(url, json={"max_results": 1}, auth=account, timeout=30, trust_env=False)
        check.equal(answer.status_code, expected, f"MLflow answers {expected} to {name}")
