"""What faults do to a running platform through its interfaces: each breaks on entering, mends on leaving."""

import json
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Any

from kubernetes import client as k8s

import client
from client import Platform, outputs
from client.waiting import until
from proofs import alarms, probe, queued
from proofs.subjects import training, tuning
from proofs.subjects.platform import SURVIVAL_TABLE
from workloads.ingest_flights import config as ingest

NAME = "fault"
"""Of every object that a fault adds."""
PROVISIONER = ("local-path-provisioner", "local-path-storage")
"""Deployment and namespace of what makes the local cluster's volumes."""
MONITORING_API = ("monitoring.coreos.com", "v1", outputs.NAMESPACE_MONITORING)


@contextmanager
def meanwhile(meddle: Callable[[], None], every: float) -> Iterator[None]:
    """Call `meddle` every so many seconds, in a thread of its own."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(every):
            meddle()

    watcher = threading.Thread(target=watch, name="meanwhile", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


def again(act: Callable[[], object], every: float = 0.5) -> AbstractContextManager[None]:
    """Act every so many seconds; what it is about may not be there yet, or be gone."""

    def tried() -> None:
        with suppress(Exception):  # Whatever Trino or Kubernetes says to it.
            act()

    return meanwhile(tried, every)


@contextmanager
def changed_table(platform: Platform, statement: str) -> Iterator[None]:
    """Run a statement that changes the flights (`{table}`), and roll the table back to what was loaded."""
    table = f"iceberg.{ingest.SCHEMA}.flights"
    before = probe.ingest_record(platform)["tables"]["flights"]["snapshot_id"]
    try:
        platform.sql(statement.format(table=table))
        yield
    finally:
        platform.sql(f"ALTER TABLE {table} EXECUTE rollback_to_snapshot(snapshot_id => {before})")


@contextmanager
def pod_that_fits_nowhere(platform: Platform) -> Iterator[None]:
    """A pod of the platform that no node can take."""
    allowed = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": True,
        "runAsUser": 1000,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    resources = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "16Mi"}}
    container = {"name": "main", "image": "none", "securityContext": allowed, "resources": resources}
    pod = {
        "metadata": {"name": NAME},
        "spec": {"nodeSelector": {"kubernetes.io/hostname": "nowhere"}, "containers": [container]},
    }
    namespace = outputs.NAMESPACE_DATA

    def delete() -> None:
        platform.core.delete_namespaced_pod(NAME, namespace, grace_period_seconds=0)

    _delete(delete)
    platform.core.create_namespaced_pod(namespace, pod)
    try:
        yield
    finally:
        _delete(delete)
        until(lambda: NAME not in _pods(platform, namespace), "the pod to go")


def _pods(platform: Platform, namespace: str) -> set[str]:
    return {pod.metadata.name for pod in platform.core.list_namespaced_pod(namespace).items}


def _delete(delete: Callable[[], Any]) -> None:
    """Also what a fault left that was killed."""
    try:
        delete()
    except k8s.ApiException as error:
        if error.status != 404:
            raise


@contextmanager
def metadata_apart(platform: Platform) -> Iterator[None]:
    """The object store keeps the metadata of objects in files of their own."""
    apps = k8s.AppsV1Api(platform.api)
    name, namespace = client.platform.service_of(client.platform.host_of(platform.access["AWS_ENDPOINT_URL"]))
    (container,) = apps.read_namespaced_stateful_set(name, namespace).spec.template.spec.containers

    def serve(arguments: list[str]) -> None:
        changed = {"containers": [{"name": container.name, "args": arguments}]}
        apps.patch_namespaced_stateful_set(name, namespace, {"spec": {"template": {"spec": changed}}})
        until(lambda: _rolled_out(apps.read_namespaced_stateful_set(name, namespace)), f"{name} to serve")

    place = container.args.index("posix") + 1
    try:
        serve([*container.args[:place], "--sidecar", "/tmp", *container.args[place:]])
        yield
    finally:
        serve(container.args)


def _rolled_out(item: Any) -> bool:
    """The pods of a StatefulSet are those of its newest template, and ready."""
    status = item.status
    return bool(
        status.observed_generation == item.metadata.generation
        and status.update_revision == status.current_revision
        and status.ready_replicas == item.spec.replicas
    )


def no_new_volumes(platform: Platform) -> AbstractContextManager[None]:
    """The storage class has nobody who makes its volumes."""
    return without_pods(platform, *PROVISIONER)


@contextmanager
def without_pods(platform: Platform, name: str, namespace: str) -> Iterator[None]:
    """A Deployment of one pod has none."""
    try:
        scale(platform, name, namespace, 0)
        yield
    finally:
        scale(platform, name, namespace, 1)


def scale(platform: Platform, name: str, namespace: str, replicas: int) -> None:
    """Give a Deployment so many pods, and wait until it has them."""
    apps = k8s.AppsV1Api(platform.api)
    apps.patch_namespaced_deployment_scale(name, namespace, {"spec": {"replicas": replicas}})
    until(
        lambda: (apps.read_namespaced_deployment(name, namespace).status.ready_replicas or 0) == replicas,
        f"{replicas} pods of {name}",
    )


@contextmanager
def forgetful_table(platform: Platform) -> Iterator[None]:
    """The table that the proof writes to does not keep what is inserted."""
    with platform.postgres() as database:
        database.execute(f"CREATE TABLE IF NOT EXISTS {SURVIVAL_TABLE} (word text)")
        database.execute(f"CREATE RULE forget AS ON INSERT TO {SURVIVAL_TABLE} DO INSTEAD NOTHING")
    try:
        yield
    finally:
        with platform.postgres() as database:
            database.execute(f"DROP TABLE IF EXISTS {SURVIVAL_TABLE}")


@contextmanager
def monitoring_object(platform: Platform, kind: str, plural: str, spec: dict[str, Any]) -> Iterator[None]:
    """One more object that the Prometheus Operator takes for one of the platform's."""
    custom = k8s.CustomObjectsApi(platform.api)
    item = {
        "apiVersion": "/".join(MONITORING_API[:2]),
        "kind": kind,
        "metadata": {"name": NAME, "labels": {"app.kubernetes.io/part-of": "seatrial"}},
        "spec": spec,
    }

    def delete() -> None:
        custom.delete_namespaced_custom_object(*MONITORING_API, plural, NAME)

    _delete(delete)
    custom.create_namespaced_custom_object(*MONITORING_API, plural, item)
    try:
        yield
    finally:
        _delete(delete)


@contextmanager
def monitor_of_nothing(platform: Platform) -> Iterator[None]:
    """A ServiceMonitor whose Service does not exist."""
    spec = {"selector": {"matchLabels": {"app": "no-such"}}, "endpoints": [{"port": "metrics"}]}
    with monitoring_object(platform, "ServiceMonitor", "servicemonitors", spec):
        yield


UNEVALUABLE = "FaultCannotBeEvaluated"


@contextmanager
def rule_that_fails(platform: Platform) -> Iterator[None]:
    """A rule that can be read and not evaluated: many targets are up on both sides of the operator."""
    rule = {"alert": UNEVALUABLE, "expr": "up + on() up"}
    spec = {"groups": [{"name": NAME, "interval": "5s", "rules": [rule]}]}
    with monitoring_object(platform, "PrometheusRule", "prometheusrules", spec):
        until(lambda: alarms.health(platform, UNEVALUABLE) == "err", "the rule to fail", 300)
        yield
    until(lambda: alarms.health(platform, UNEVALUABLE) is None, "the rule to go", 300)


@contextmanager
def falsified_metric(platform: Platform) -> Iterator[None]:
    """Log another count of hits to the registered run, and then the right one again."""
    found = training.Trained(platform)
    name, right = "test_true_positive", found.evaluation["confusion"]["true_positive"]
    found.mlflow.log_metric(found.version.run_id, name, right + 1)
    try:
        yield
    finally:
        found.mlflow.log_metric(found.version.run_id, name, right)


@contextmanager
def swapped_weights(platform: Platform) -> Iterator[None]:
    """Say of the registered version that it has other weights."""
    found = training.Trained(platform)
    key = (found.version.name, found.version.version, "weights_sha256")
    right = found.evaluation["weights_sha256"][0]
    found.mlflow.set_model_version_tag(*key, "0" * 64)
    try:
        yield
    finally:
        found.mlflow.set_model_version_tag(*key, right)


@contextmanager
def untrained_version(platform: Platform) -> Iterator[None]:
    """Register a version whose run has what a training leaves but its losses, as if it had never learned."""
    found = training.Trained(platform)
    run = found.mlflow.create_run(found.run.info.experiment_id, run_name=NAME)
    version = None
    try:
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "evaluation.json").write_text(json.dumps(found.evaluation))
            found.predictions.to_parquet(Path(folder) / "predictions.parquet")
            found.mlflow.log_artifacts(run.info.run_id, folder)
        version = found.mlflow.create_model_version(
            found.version.name, run.info.artifact_uri, run.info.run_id
        )
        yield
    finally:
        if version is not None:
            found.mlflow.delete_model_version(version.name, version.version)
        found.mlflow.delete_run(run.info.run_id)


@contextmanager
def meddling(
    platform: Platform, names: tuple[str, ...], meddle: Callable[[Any, str], None]
) -> Iterator[None]:
    """Do something once to each MLflow run of a training with one of these names that has not finished; one
    that fails may run for too short a time to be met.
    """
    mlflow, met = platform.mlflow(), set[str]()

    def look() -> None:
        for run in _unfinished(mlflow):
            name = run.data.tags.get("training", "").rpartition("-")[0]
            if name in names and run.info.run_id not in met:
                met.add(run.info.run_id)
                meddle(mlflow, run.info.run_id)

    with meanwhile(look, 0.3):
        yield


def _unfinished(mlflow: Any) -> list[Any]:
    experiment = mlflow.get_experiment_by_name(training.SETTINGS.experiment)
    found: list[Any] = mlflow.search_runs([experiment.experiment_id], "attributes.status != 'FINISHED'")
    return found


def strange_loss(mlflow: Any, run: str) -> None:
    """Give the run a loss of a step that there is not."""
    mlflow.log_metric(run, "loss", 0.0, step=-1)


def strange_straggler(mlflow: Any, run: str) -> None:
    """Name a slowest rank of an epoch that there is not."""
    mlflow.log_metric(run, "slowest_rank", 7, step=-1)


def lost_run(mlflow: Any, run: str) -> None:
    """Take the run away from the training that writes to it."""
    mlflow.delete_run(run)


def finished_run(mlflow: Any, run: str) -> None:
    """Say of the run that it has ended well; what trains goes on writing to it."""
    mlflow.set_terminated(run, "FINISHED")


@contextmanager
def held_queue(platform: Platform) -> Iterator[None]:
    """The platform's queue takes no more jobs."""

    def hold(policy: str) -> None:
        queued.change(platform, "ClusterQueue", outputs.QUEUE, {"spec": {"stopPolicy": policy}})
        wanted = "True" if policy == "None" else "False"
        until(
            lambda: queued.condition(platform, "LocalQueue", outputs.QUEUE, "Active").get("status") == wanted,
            f"the queue to be {policy}",
        )

    try:
        hold("Hold")
        yield
    finally:
        hold("None")


@contextmanager
def generous_queue(platform: Platform) -> Iterator[None]:
    """While the proof runs, its queue has room for both of its jobs."""
    plenty = {"spec": queued.specs("10")["ClusterQueue"]}

    def give() -> None:
        with suppress(k8s.ApiException):  # It is not there yet, or already gone.
            queued.change(platform, "ClusterQueue", queued.NAME, plenty)

    with meanwhile(give, 0.2):
        yield


@contextmanager
def changed_trial(platform: Platform, before: str, after: str) -> Iterator[None]:
    """Give one trial of the proofs' study another state, in the database itself."""
    study = tuning.studied(platform)
    number = next(each.number for each in tuning.tries(platform, study) if each.state == before)
    change = (
        "UPDATE trials SET state = %s WHERE number = %s "
        "AND study_id = (SELECT study_id FROM studies WHERE study_name = %s)"
    )
    with platform.studies() as database:
        database.execute(change, [after, number, study])
    try:
        yield
    finally:
        with platform.studies() as database:
            database.execute(change, [before, number, study])


@contextmanager
def doubled_trial(platform: Platform) -> Iterator[None]:
    """A second result for a trial that has one."""
    study = tuning.studied(platform)
    found = tuning.tries(platform, study)
    slot = next(each.slot for each in found if each.state in tuning.RESULTS)
    with platform.studies() as database:
        (made,) = database.execute(
            "INSERT INTO trials (number, study_id, state) "
            "SELECT %s, study_id, 'COMPLETE' FROM studies WHERE study_name = %s RETURNING trial_id",
            [len(found), study],
        ).fetchone()
        database.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) VALUES (%s, 'slot', %s)",
            [made, json.dumps(slot)],
        )
    try:
        yield
    finally:
        with platform.studies() as database:
            database.execute("DELETE FROM trial_user_attributes WHERE trial_id = %s", [made])
            database.execute("DELETE FROM trials WHERE trial_id = %s", [made])


@contextmanager
def lost_try(platform: Platform) -> Iterator[None]:
    """While a study of the killings runs, add a lost try that nobody tries again."""
    made: list[int] = []

    def lose() -> None:
        if made:
            return
        with platform.studies() as database:
            if database.execute("SELECT to_regclass('trials')").fetchone()[0] is not None:
                made.extend(_lose_a_try(database))

    try:
        with meanwhile(lose, 0.5):
            yield
    finally:
        for trial in made:
            with platform.studies() as database:
                database.execute("DELETE FROM trial_user_attributes WHERE trial_id = %s", [trial])
                database.execute("DELETE FROM trials WHERE trial_id = %s", [trial])


def _lose_a_try(database: Any) -> list[int]:
    """The id of a failed try, added to the running study, of a slot that has its result."""
    found = database.execute(
        "INSERT INTO trials (number, study_id, state, datetime_start, datetime_complete) "
        "SELECT (SELECT count(*) FROM trials WHERE study_id = s.study_id), s.study_id, 'FAIL', now(), now() "
        "FROM studies s WHERE s.study_name LIKE %s "
        "AND EXISTS (SELECT 1 FROM trials WHERE study_id = s.study_id AND state = 'RUNNING') "
        "AND EXISTS (SELECT 1 FROM trials WHERE study_id = s.study_id AND state = 'COMPLETE') "
        "RETURNING trial_id",
        [f"{tuning.KILLS_NAME}-%"],
    ).fetchall()
    for (trial,) in found:
        database.execute(
            "INSERT INTO trial_user_attributes (trial_id, key, value_json) "
            "SELECT %s, 'slot', a.value_json FROM trial_user_attributes a "
            "JOIN trials t USING (trial_id) WHERE a.key = 'slot' AND t.state = 'COMPLETE' "
            "AND t.study_id = (SELECT study_id FROM trials WHERE trial_id = %s) LIMIT 1",
            [trial, trial],
        )
    return [trial for (trial,) in found]


@contextmanager
def another_best_trial(platform: Platform) -> Iterator[None]:
    """Say of the version of the proofs' study that it is of another trial."""
    study, mlflow = tuning.studied(platform), platform.mlflow()
    versions = mlflow.search_model_versions(f"name = '{tuning.SETTINGS.training.model}'")
    version = next(each for each in versions if each.tags.get("study") == study)
    right = version.tags["trial"]
    mlflow.set_model_version_tag(version.name, version.version, "trial", "999")
    try:
        yield
    finally:
        mlflow.set_model_version_tag(version.name, version.version, "trial", right)
