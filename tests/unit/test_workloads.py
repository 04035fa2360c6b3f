"""The parts of the workloads that need neither network nor PyTorch, on the real data."""

import gc
import json
import re
import subprocess
import sys
import threading
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace as Some
from typing import Any

import numpy as np
import pandas as pd
import pytest

import workloads
from infra import outputs
from workloads import common, pods
from workloads.common import WorkloadError
from workloads.ingest_flights import config as ingest_config
from workloads.ingest_flights import main as ingest
from workloads.recorder import Recorder
from workloads.settings import changed
from workloads.train_delay import config as train_config
from workloads.train_delay import features, metrics

IMAGE = "registry.example/seatrial/workloads:0123"


# --- manifests ----------------------------------------------------------------------------------------------


EVERYWHERE = [name for name in workloads.names() if name != "train_delay_tensorflow"]
"""What also runs as a plain Job. The pods of a TrainJob are its runtime's."""


@pytest.mark.parametrize("name", EVERYWHERE)
def test_pods_pass_the_restricted_level_and_name_their_image(name: str) -> None:
    for pod in pods_of(workloads.manifest(name, IMAGE, served={"Job"})):
        main = pod["containers"][0]
        others = ("workloads-horovod", "booking-api", "watch-drift", "react")
        assert main["image"] in (IMAGE, *(workloads.image_of(IMAGE, other) for other in others))
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert main["securityContext"]["allowPrivilegeEscalation"] is False
        assert main["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        talks = name in ("steer_traffic", "watch_objects", "react")
        assert pod["automountServiceAccountToken"] is talks
        assert "hostNetwork" not in pod
        assert main["resources"]["limits"]["memory"]


def test_an_unknown_workload_is_refused_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r"there is no workload 'train'; there are: .*ingest_flights, .*train_delay"
    ):
        workloads.manifest("train", IMAGE)


def test_an_option_that_a_workload_has_not_is_refused() -> None:
    with pytest.raises(ValueError, match="workload ingest_flights has no option training"):
        workloads.manifest("ingest_flights", IMAGE, training="x")


@pytest.mark.parametrize("name", workloads.names())
def test_jobs_name_the_queue_where_there_is_one(name: str) -> None:
    for served in ({"Job"}, {"Job", "TrainJob"}):
        made = workloads.manifest(name, IMAGE, served=served, queue="line")
        queued = [item for item in made if item["kind"] in ("Job", "TrainJob", "MPIJob")]
        assert queued or any(item["kind"] in ("Deployment", "DaemonSet") for item in made)
        assert {job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] for job in queued} <= {"line"}
        for item in workloads.manifest(name, IMAGE, served=served):
            assert "kueue.x-k8s.io/queue-name" not in item["metadata"]["labels"]


def test_a_workload_takes_the_best_form_that_the_cluster_serves() -> None:
    def kinds(name: str, served: set[str]) -> list[str]:
        return [item["kind"] for item in workloads.manifest(name, IMAGE, served=served)]

    assert kinds("train_delay", {"Job", "TrainJob", "Service"}) == ["TrainJob"]
    assert kinds("train_delay", {"Job", "Service"}) == ["Service", "Job"]
    assert kinds("ingest_flights", {"Job", "TrainJob"}) == ["Job"]


def test_the_ranks_never_share_a_node_and_find_rank_0() -> None:
    service, job = workloads.manifest("train_delay", IMAGE, form="Job")
    spec = job["spec"]
    assert spec["completionMode"] == "Indexed"
    assert spec["completions"] == spec["parallelism"] == 2
    assert spec["backoffLimit"] == 0
    affinity = spec["template"]["spec"]["affinity"]["podAntiAffinity"]
    (rule,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]
    assert rule["topologyKey"] == "kubernetes.io/hostname"
    labels = spec["template"]["metadata"]["labels"]
    assert rule["labelSelector"]["matchLabels"].items() <= labels.items()
    assert service["spec"]["selector"].items() <= labels.items()
    assert service["spec"]["publishNotReadyAddresses"] is True
    env = variables(spec["template"]["spec"]["containers"][0]["env"])
    name = job["metadata"]["name"]
    assert spec["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    assert env["PET_MASTER_ADDR"] == f"{name}-0.{service['metadata']['name']}.workloads.svc.cluster.local"
    assert (env["PET_NNODES"], env["PET_NPROC_PER_NODE"]) == ("2", "1")


RESERVED = {"PET_NNODES", "PET_NPROC_PER_NODE", "PET_NODE_RANK", "PET_MASTER_ADDR", "PET_MASTER_PORT"}
"""What Trainer's torch plugin sets, and refuses to be given."""


def test_both_forms_run_the_same_container_and_only_the_job_sets_what_trainer_sets() -> None:
    options: dict[str, Any] = {"training": "t-1", "ranks": 3, "arguments": ["--set", "epochs=2"]}
    (train_job,) = workloads.manifest("train_delay", IMAGE, form="TrainJob", **options)
    job = workloads.manifest("train_delay", IMAGE, form="Job", **options)[-1]
    trainer = train_job["spec"]["trainer"]
    main = job["spec"]["template"]["spec"]["containers"][0]
    assert train_job["spec"]["runtimeRef"] == {"name": outputs.RUNTIME_TORCH}
    assert (trainer["numNodes"], trainer["numProcPerNode"]) == (3, 1)
    assert trainer["command"] == main["command"]
    assert trainer["command"][2:5] == ["workloads.torchrun", "-m", "workloads.train_delay.main"]
    assert trainer["command"][-2:] == ["--set", "epochs=2"]
    assert trainer["resourcesPerNode"] == main["resources"]
    ours, theirs = variables(trainer["env"]), variables(main["env"])
    assert theirs.keys() >= RESERVED
    assert theirs.keys() - RESERVED == ours.keys() - set(pods.ACCESS_KEYS)
    assert ours["TRAINING_ID"] == theirs["TRAINING_ID"] == "t-1"


def test_a_train_job_names_each_variable_that_the_training_asks_for() -> None:
    folder = Path(workloads.__file__).parent
    sources = [folder / "common.py", *(folder / "train_delay").glob("*.py")]
    asked = {name for path in sources for name in re.findall(r'env\("([A-Z0-9_]+)"\)', path.read_text())}
    assert asked - {"PGHOST", "PGDATABASE"} <= set(pods.ACCESS_KEYS)
    assert "S3_BUCKET" in asked


def test_each_deployment_is_a_training_of_its_own_unless_it_names_one() -> None:
    def training(**options: Any) -> Any:
        (item,) = workloads.manifest("train_delay", IMAGE, **options)
        return variables(item["spec"]["trainer"]["env"])["TRAINING_ID"]

    assert training() != training()
    assert re.fullmatch(r"probe-[0-9a-f]{8}", training(name="probe"))
    assert training(training="t-1") == "t-1"


def variables(entries: list[dict[str, Any]]) -> dict[str, str | None]:
    return {entry["name"]: entry.get("value") for entry in entries}


def pods_of(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for item in objects:
        spec = item.get("spec", {})
        if item["kind"] in ("Job", "Deployment", "DaemonSet"):
            found.append(spec["template"]["spec"])
        elif item["kind"] == "MPIJob":
            found += [replicas["template"]["spec"] for replicas in spec["mpiReplicaSpecs"].values()]
    assert found
    return found


# --- common -------------------------------------------------------------------------------------------------


def test_a_missing_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRINO_URL", raising=False)
    with pytest.raises(WorkloadError, match="TRINO_URL is not set"):
        common.env("TRINO_URL")


def test_the_cause_of_a_failure_becomes_the_termination_message(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(common, "TERMINATION_LOG", log)

    def fail() -> dict[str, Any]:
        raise WorkloadError("MLflow does not answer")

    with pytest.raises(SystemExit) as ended:
        common.run(fail)
    assert ended.value.code == 1
    assert json.loads(log.read_text()) == {"error": "MLflow does not answer"}
    try:
        common.run(lambda: {"rows": 3})
        assert gc.get_freeze_count(), "the interpreter's end looks through all objects"
    finally:
        gc.unfreeze()
    assert json.loads(log.read_text()) == {"rows": 3}


def test_a_failure_that_no_other_attempt_would_mend_has_an_exit_code_of_its_own() -> None:
    def fail() -> dict[str, Any]:
        raise common.HopelessError("the loss is nan")

    with pytest.raises(SystemExit) as ended:
        common.run(fail)
    assert ended.value.code == common.HOPELESS


def test_a_message_too_long_for_kubernetes_keeps_the_cause(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    log = tmp_path / "termination-log"
    log.touch()
    monkeypatch.setattr(common, "TERMINATION_LOG", log)
    common.leave({"error": "first words " + "x" * 9000})
    assert len(log.read_bytes()) <= 4096
    assert json.loads(log.read_text())["error"].startswith("first words")


class Trino:
    """Stands for a connection whose statements fail a few times, with errors of one type."""

    def __init__(self, failures: int, error_type: str) -> None:
        self.failures, self.error_type = failures, error_type

    def cursor(self) -> "Trino":
        return self

    def execute(self, sql: str) -> None:
        if self.failures:
            self.failures -= 1
            error = RuntimeError("not now")
            error.error_type = self.error_type  # type: ignore[attr-defined]
            raise error

    def fetchall(self) -> list[list[int]]:
        return [[1]]


def test_only_an_internal_error_of_trino_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(common.time, "sleep", lambda _: None)
    assert common.query(Trino(3, "INTERNAL_ERROR"), "SELECT 1") == [[1]]
    with pytest.raises(WorkloadError, match="Trino refused `SELECT 1`: not now"):
        common.query(Trino(5, "INTERNAL_ERROR"), "SELECT 1")
    with pytest.raises(WorkloadError, match="not now"):
        common.query(Trino(1, "USER_ERROR"), "SELECT 1")


def test_the_code_hash_changes_with_the_code(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    first = common.code_hash(tmp_path)
    assert common.code_hash(tmp_path) == first
    (tmp_path / "a.py").write_text("2")
    assert common.code_hash(tmp_path) != first


# --- ingest_flights -----------------------------------------------------------------------------------------


def test_the_source_has_the_columns_and_rows_that_are_documented() -> None:
    rows = {}
    for table in ingest_config.reference().tables:
        data = ingest.read_source(table)
        ingest.check_header(table, data)
        rows[table.name] = data.strip().count(b"\n")
    assert rows["flights"] == 336_776
    assert sum(rows.values()) == 367_687


def test_a_file_with_other_columns_is_refused() -> None:
    with pytest.raises(WorkloadError, match=r"airlines.csv has the columns \['name', 'carrier'\]"):
        ingest.check_header(ingest_config.AIRLINES, b"name,carrier\nx,y\n")


def test_the_content_hash_sees_data_types_and_layout() -> None:
    table = ingest_config.AIRLINES
    changed = ingest_config.Table(table.name, table.file, {"carrier": "text", "name": "integer"})
    parted = ingest_config.Table(table.name, table.file, table.columns, ("carrier",))
    hashes = {
        ingest.content_hash(table, b"a"),
        ingest.content_hash(table, b"b"),
        ingest.content_hash(changed, b"a"),
        ingest.content_hash(parted, b"a"),
    }
    assert len(hashes) == 4


def test_a_table_is_published_in_one_statement_that_carries_its_hash() -> None:
    settings = ingest_config.reference()
    sql = ingest.publish_sql(settings, ingest_config.FLIGHTS, "abc")
    assert sql.startswith("CREATE OR REPLACE TABLE iceberg.nycflights13.flights COMMENT ")
    assert "sha256:abc" in sql
    assert "partitioning = ARRAY['month']" in sql
    assert sql.endswith("FROM postgresql.public.ingest_flights")


class Database:
    """Stands for PostgreSQL where a table that is up to date must not touch it."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the database was used: {name}")


def test_a_table_that_is_up_to_date_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, table = ingest_config.reference(), ingest_config.AIRLINES
    content = ingest.content_hash(table, ingest.read_source(table))
    asked: list[str] = []

    def query(_: Any, sql: str) -> list[Any]:
        asked.append(sql)
        return [[16]] if "count(*)" in sql else [[77]]

    monkeypatch.setattr(ingest, "query", query)
    there = {"airlines": ingest.comment(table, content)}
    done = ingest.load(None, Database(), settings, table, there)
    assert (done["action"], done["rows"], done["snapshot_id"]) == ("unchanged", 16, "77")
    assert not any("CREATE" in sql for sql in asked)
    assert "months" not in done


def test_the_months_that_a_load_has_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    def query(_: Any, sql: str) -> list[Any]:
        if "GROUP BY" in sql:
            assert "min(day), max(day) FROM iceberg.nycflights13.flights" in sql
            return [[2013, 9, 1, 30], [2013, 10, 1, 12]]
        return [[77]]

    monkeypatch.setattr(ingest, "query", query)
    found = ingest.describe(None, ingest_config.reference(), ingest_config.FLIGHTS)
    assert found["months"] == {"2013-09": [1, 30], "2013-10": [1, 12]}


def test_a_table_with_too_few_rows_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    settings, table = ingest_config.reference(), ingest_config.AIRLINES
    content = ingest.content_hash(table, ingest.read_source(table))
    monkeypatch.setattr(ingest, "query", lambda _, sql: [[15]] if "count(*)" in sql else [[77]])
    with pytest.raises(WorkloadError, match="table airlines has 15 rows, its source has 16"):
        ingest.load(None, Database(), settings, table, {"airlines": ingest.comment(table, content)})


# --- train_delay --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    def read(file: str) -> pd.DataFrame:
        return pd.read_csv(
            ingest.source_folder() / file, keep_default_na=False, na_values=["NA"], parse_dates=["time_hour"]
        )

    flights, weather = read("flights.csv.zip"), read("weather.csv")
    wanted = flights[flights["month"].isin([1, 7])][list(features.FLIGHT_COLUMNS)]
    return features.prepare(wanted, weather[list(features.WEATHER_COLUMNS)])


def test_flights_that_did_not_land_are_left_out_and_none_is_doubled(rows: pd.DataFrame) -> None:
    assert rows["arr_delay"].notna().all()
    assert dict(rows["month"].value_counts()) == {1: 26_398, 7: 28_293}


def test_the_order_of_the_files_does_not_matter(rows: pd.DataFrame) -> None:
    shuffled = rows.drop(columns=list(features.WEATHER)).sample(frac=1, random_state=1)
    weather = rows[list(features.WEATHER_COLUMNS)].drop_duplicates(["origin", "time_hour"])
    again = features.prepare(shuffled, weather)
    assert again[features.KEY].equals(rows[features.KEY])


def test_nothing_that_is_known_only_later_is_used(rows: pd.DataFrame) -> None:
    learned = features.Preprocessing.learn(rows)
    later = rows.assign(arr_delay=0.0, flight=0, tailnum="", sched_dep_time=0, time_hour=None)
    assert np.array_equal(learned.apply(rows), learned.apply(later))
    assert not {"arr_delay", "dep_time", "arr_time", "air_time"} & set(features.INPUT_COLUMNS)


def test_preprocessing_survives_being_stored_and_meets_the_unseen(rows: pd.DataFrame) -> None:
    january = rows[rows["month"] == 1]
    learned = features.Preprocessing.learn(january)
    again = features.Preprocessing.from_json(learned.to_json())
    assert np.array_equal(again.apply(rows), learned.apply(rows))
    matrix = learned.apply(january)
    assert matrix.dtype == np.float32
    assert not np.isnan(matrix).any()
    assert abs(matrix[:, 3:].mean()) < 0.05
    assert (matrix[:, 0] >= 1).all()
    odd = january.head(1).assign(dest="XXX", temp=float("nan"))
    assert learned.apply(odd)[0, 2] == 0


def test_late_is_more_than_the_limit() -> None:
    delays = pd.DataFrame({"arr_delay": [15.0, 15.1, -3.0, 200.0]})
    assert features.label(delays, train_config.reference().late_minutes).tolist() == [0, 1, 0, 1]


def test_the_metrics_are_those_of_a_case_counted_by_hand() -> None:
    labels = np.array([1, 1, 1, 0, 0, 0, 0, 0], dtype=np.float32)
    scores = np.array([0.9, 0.6, 0.2, 0.7, 0.4, 0.3, 0.2, 0.1], dtype=np.float32)
    assert metrics.confusion(labels, scores, 0.5) == {
        "true_positive": 2, "false_positive": 1, "false_negative": 1, "true_negative": 4,
    }  # fmt: skip
    found = metrics.summary(labels, scores, 0.5)
    assert found["accuracy"] == pytest.approx(6 / 8)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["base_accuracy"] == pytest.approx(5 / 8)
    # 15 pairs of a late and a punctual flight: 0.9 beats 5, 0.6 beats 4, 0.2 beats 1 and ties with 1.
    assert found["roc_auc"] == pytest.approx((5 + 4 + 1.5) / 15)


def test_the_roc_curve_runs_from_corner_to_corner() -> None:
    labels = np.array([0, 1] * 500, dtype=np.float32)
    points = metrics.roc_points(labels, np.linspace(0, 1, 1000))
    assert points[0] == [0, 0]
    assert points[-1] == [1, 1]
    assert points == sorted(points)


def test_a_setting_is_given_by_name_and_a_wrong_one_is_refused() -> None:
    found = changed(train_config.tiny(), ["learning_rate=1e30", "epochs=3", "model=other"])
    assert (found.learning_rate, found.epochs, found.model) == (1e30, 3, "other")
    assert changed(train_config.tiny(), []) == train_config.tiny()
    with pytest.raises(WorkloadError, match="there is no setting 'epoch'; there are: catalog, "):
        changed(train_config.tiny(), ["epoch=3"])
    with pytest.raises(WorkloadError, match="setting epochs does not take 'many', it is like 1"):
        changed(train_config.tiny(), ["epochs=many"])
    with pytest.raises(WorkloadError, match="setting log_every must be at least 1, it is 0"):
        changed(train_config.tiny(), ["log_every=0"])


def test_a_switch_is_given_as_true_or_false() -> None:
    @dataclass(frozen=True)
    class Settings:
        compile: bool = True

    assert changed(Settings(), ["compile=false"]) == Settings(compile=False)
    assert changed(Settings(False), ["compile=true"]) == Settings(compile=True)
    with pytest.raises(WorkloadError, match="setting compile does not take 'no', it is like True"):
        changed(Settings(), ["compile=no"])


def test_months_are_given_one_by_one_or_from_to() -> None:
    named = changed(train_config.tiny(), ["train_months=1-3,8", "validation_months=9", "test_months=10-11"])
    assert (named.train_months, named.validation_months, named.test_months) == ((1, 2, 3, 8), (9,), (10, 11))
    moved = changed(train_config.tiny(), ["train_months=4-8", "validation_months=9", "test_months=10"])
    assert moved.train_months == (4, 5, 6, 7, 8), "though June and July were others' before"


@pytest.mark.parametrize("months", ["5-1", "", "1,", "may", "1.5"])
def test_months_that_are_none_are_refused(months: str) -> None:
    with pytest.raises(WorkloadError, match=r"setting train_months does not take"):
        changed(train_config.tiny(), [f"train_months={months}"])


@pytest.mark.parametrize("months", ["1-7", "6", "0-3", "12-13", "1,1"])
def test_no_row_is_learned_from_and_tested_on(months: str) -> None:
    with pytest.raises(WorkloadError, match=r"must be months \(1 to 12\), each named once"):
        changed(train_config.tiny(), [f"train_months={months}"])


def test_how_often_something_is_kept_does_not_make_another_training() -> None:
    settings = train_config.tiny()
    assert changed(settings, ["checkpoint_every=7", "log_every=7"]).identity() == (settings.identity())
    assert changed(settings, ["seed=7"]).identity() != settings.identity()


class Mlflow:
    """Stands for the client of an MLflow that has a run with some numbers, and may refuse more."""

    def __init__(self, **there: list[int]) -> None:
        self.written = {name: list(steps) for name, steps in there.items()}
        self.requests: list[int] = []
        self.refuses = False

    def get_run(self, _: str) -> Any:
        return Some(data=Some(metrics=dict.fromkeys(self.written, 0.0)))

    def get_metric_history(self, _: str, name: str) -> list[Any]:
        return [Some(step=step) for step in self.written[name]]

    def log_batch(self, _: str, metrics: list[Any]) -> None:
        if self.refuses:
            raise ConnectionError("refused")
        self.requests.append(len(metrics))
        for metric in metrics:
            self.written.setdefault(metric.key, []).append(metric.step)


def test_each_number_of_a_series_is_written_once_and_in_order() -> None:
    server = Mlflow()
    recorder = Recorder(server, "r")
    recorder.series("loss", [0.3, 0.2])
    recorder.series("loss", [0.3, 0.2, 0.1])
    recorder.series("test", [0.5])
    recorder.flush()
    assert server.written == {"loss": [0, 1, 2], "test": [0]}


def test_what_an_attempt_before_wrote_is_not_written_again_and_what_it_did_not_is() -> None:
    server = Mlflow(loss=[0, 1, 3])
    recorder = Recorder(server, "r")
    recorder.series("loss", [0.4, 0.3, 0.2])
    recorder.series("loss", [0.4, 0.3, 0.2, 0.1, 0.0])
    recorder.flush()
    assert server.written == {"loss": [0, 1, 3, 2, 4]}


def test_a_long_series_goes_in_requests_that_mlflow_takes() -> None:
    server = Mlflow()
    recorder = Recorder(server, "r")
    recorder.series("loss", [0.0] * 2500)
    recorder.flush()
    assert server.requests == [1000, 1000, 500]


def test_a_number_that_could_not_be_written_is_told_at_the_next_flush_or_check() -> None:
    server = Mlflow()
    recorder = Recorder(server, "r")
    server.refuses = True
    recorder.series("loss", [0.1])
    with pytest.raises(ConnectionError):
        recorder.flush()
    recorder.series("loss", [0.1, 0.2])
    wait(recorder.pending)
    with pytest.raises(ConnectionError):
        recorder.check()
    recorder.check()


def test_a_check_waits_for_nothing() -> None:
    server, answer = Mlflow(), threading.Event()
    recorder = Recorder(server, "r")
    server.log_batch = lambda *_, **__: answer.wait(10)  # type: ignore[method-assign,assignment]
    recorder.series("loss", [0.1])
    recorder.check()
    assert len(recorder.pending) == 1
    answer.set()
    recorder.flush()


def test_a_registered_model_brings_the_code_that_it_needs_and_no_other(tmp_path: Path) -> None:
    from workloads.train_delay import registry

    copy = registry.code(tmp_path, {registry.HERE})
    assert sorted(path.name for path in copy.iterdir()) == ["__init__.py", "train_delay"]
    ask = "import workloads.train_delay.features as there; print(there.__file__)"
    # Where a program is started comes first among the places that it imports from.
    found = subprocess.run(
        [sys.executable, "-c", ask], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(found.stdout.strip()).is_relative_to(tmp_path)


def test_training_validation_and_test_share_no_month() -> None:
    for settings in (train_config.reference(), train_config.tiny()):
        months = settings.train_months + settings.validation_months + settings.test_months
        assert len(months) == len(set(months))
