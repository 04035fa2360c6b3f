"""Train the delay classifier with PyTorch DDP (gloo), one process a pod, and log everything that says where
it came from.

Every rank reads the same Iceberg snapshot from the object store and takes its share of each epoch's shuffled
rows. Rank 0 also talks to Trino and MLflow; what fails there is told to the others, so that each pod's
termination message names the cause.
"""

import argparse
import io
import json
import os
import platform
import re
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist

from workloads import common
from workloads.common import WorkloadError, log
from workloads.train_delay import config, metrics
from workloads.train_delay.config import TrainDelay
from workloads.train_delay.features import (
    FLIGHT_COLUMNS,
    INPUT_COLUMNS,
    KEY,
    WEATHER_COLUMNS,
    Preprocessing,
    label,
    prepare,
)
from workloads.train_delay.model import DelayClassifier, weights_hash

HERE = Path(__file__).parent
MEETING_TIME = timedelta(minutes=3)
"""How long ranks wait for each other."""


@dataclass(frozen=True)
class Source:
    """Exactly which data: snapshot and metadata file of both tables."""

    flights_snapshot: int
    flights_metadata: str
    weather_snapshot: int
    weather_metadata: str
    flights_sha256: str


@dataclass
class Data:
    """One set of rows, ready for the network."""

    rows: pd.DataFrame
    inputs: torch.Tensor
    labels: torch.Tensor


# --- the ranks --------------------------------------------------------------------------------------------


def join_ranks() -> None:
    """Meet the other ranks at MASTER_ADDR:MASTER_PORT; a name that does not resolve yet is waited for."""
    address, deadline = common.env("MASTER_ADDR"), time.monotonic() + MEETING_TIME.total_seconds()
    while True:
        try:
            socket.getaddrinfo(address, None)
            break
        except OSError as error:
            if time.monotonic() > deadline:
                raise WorkloadError(f"the name of rank 0, {address}, does not resolve: {error}") from error
            time.sleep(0.5)
    try:
        dist.init_process_group("gloo", timeout=MEETING_TIME)
    except (RuntimeError, ValueError) as error:
        raise WorkloadError(
            f"rank {os.environ.get('RANK')} did not meet the others at {address}: {error}"
        ) from error


def on_rank_0(work: Callable[[], Any]) -> Any:
    """Do `work` on rank 0 and give its result to all; if it fails there, it fails everywhere with the same
    cause.
    """
    answer: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            answer[0] = work()
        except Exception as error:
            answer[1] = str(error) if isinstance(error, WorkloadError) else f"{type(error).__name__}: {error}"
    with peers():
        dist.broadcast_object_list(answer, src=0)
    if answer[1] is not None:
        raise WorkloadError(answer[1])
    return answer[0]


@contextmanager
def peers() -> Iterator[None]:
    """A lost peer is reported as that, not as a socket's error."""
    try:
        yield
    except RuntimeError as error:
        said = re.sub(r"^\[\S+\] ", "", str(error).splitlines()[0]).split(". ")[0]
        raise WorkloadError(f"rank {os.environ.get('RANK')} lost another rank: {said}") from error


def gather(value: Any) -> list[Any]:
    """The value of each rank, on every rank."""
    everyone: list[Any] = [None] * dist.get_world_size()
    with peers():
        dist.all_gather_object(everyone, value)
    return everyone


# --- the data ---------------------------------------------------------------------------------------------


def locate(settings: TrainDelay, snapshot: int | None) -> Source:
    """The snapshots that the last load recorded (or the one asked for) and where their metadata lies."""
    try:
        body = common.s3().get_object(Bucket=common.env("S3_BUCKET"), Key=common.LOAD_RECORD)["Body"].read()
    except Exception as error:
        missing = "NoSuchKey" in str(error)
        what = (
            "no load is recorded, run ingest_flights first" if missing else "the object store cannot be read"
        )
        raise WorkloadError(f"{what} ({common.LOAD_RECORD}): {error}") from error
    tables = json.loads(body)["tables"]
    trino = common.trino()

    def metadata(table: str) -> str:
        rows = common.query(
            trino,
            f'SELECT file FROM {settings.catalog}.{settings.schema}."{table}$metadata_log_entries" '
            "ORDER BY timestamp DESC LIMIT 1",
        )
        return str(rows[0][0])

    return Source(
        flights_snapshot=snapshot or int(tables["flights"]["snapshot_id"]),
        flights_metadata=metadata("flights"),
        weather_snapshot=int(tables["weather"]["snapshot_id"]),
        weather_metadata=metadata("weather"),
        flights_sha256=tables["flights"]["content_sha256"],
    )


def read_snapshot(
    metadata: str, snapshot: int, columns: tuple[str, ...], months: tuple[int, ...]
) -> pd.DataFrame:
    """Rows of one Iceberg snapshot, read from its Parquet files in the object store."""
    from pyiceberg.expressions import AlwaysTrue, In
    from pyiceberg.table import StaticTable

    table = StaticTable.from_metadata(
        metadata,
        properties={
            "s3.endpoint": common.env("AWS_ENDPOINT_URL"),
            "s3.access-key-id": common.env("AWS_ACCESS_KEY_ID"),
            "s3.secret-access-key": common.env("AWS_SECRET_ACCESS_KEY"),
            "s3.region": os.environ.get("AWS_REGION", "us-east-1"),
        },
    )
    wanted = In("month", months) if months else AlwaysTrue()
    scan = table.scan(row_filter=wanted, selected_fields=columns, snapshot_id=snapshot)
    return scan.to_arrow().to_pandas()


def read(settings: TrainDelay, source: Source) -> pd.DataFrame:
    """The months that are needed, joined with the weather."""
    months = settings.train_months + settings.validation_months + settings.test_months
    flights = read_snapshot(source.flights_metadata, source.flights_snapshot, FLIGHT_COLUMNS, months)
    weather = read_snapshot(source.weather_metadata, source.weather_snapshot, WEATHER_COLUMNS, ())
    return prepare(flights, weather)


def split(settings: TrainDelay, rows: pd.DataFrame) -> tuple[Preprocessing, dict[str, Data]]:
    """Training, validation and test rows by month; the scaling is learned from the training rows alone."""
    months = {
        "train": settings.train_months,
        "validation": settings.validation_months,
        "test": settings.test_months,
    }
    parts = {name: rows[rows["month"].isin(wanted)] for name, wanted in months.items()}
    if settings.rows:
        parts = {name: part.head(settings.rows) for name, part in parts.items()}
    empty = [name for name, part in parts.items() if part.empty]
    if empty:
        raise WorkloadError(f"the snapshot has no rows for {', '.join(empty)} (months {months})")
    preprocessing = Preprocessing.learn(parts["train"])
    data = {
        name: Data(
            rows=part,
            inputs=torch.from_numpy(preprocessing.apply(part)),
            labels=torch.from_numpy(label(part, settings.late_minutes)),
        )
        for name, part in parts.items()
    }
    return preprocessing, data


# --- the training -----------------------------------------------------------------------------------------


def train(
    settings: TrainDelay,
    preprocessing: Preprocessing,
    data: dict[str, Data],
    tell: Callable[[int, dict[str, float]], None],
) -> DelayClassifier:
    """Plain DDP; after each epoch `tell` hears the losses."""
    network = DelayClassifier(preprocessing.sizes, preprocessing.numeric, settings.hidden)
    model = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    loss_of = torch.nn.BCEWithLogitsLoss()
    rank, world = dist.get_rank(), dist.get_world_size()
    inputs, labels = data["train"].inputs, data["train"].labels
    steps = len(labels) // (settings.batch * world)
    for epoch in range(settings.epochs):
        began, total = time.monotonic(), 0.0
        shuffled = torch.randperm(len(labels), generator=torch.Generator().manual_seed(settings.seed + epoch))
        model.train()
        for step in range(steps):
            first = (step * world + rank) * settings.batch
            chosen = shuffled[first : first + settings.batch]
            loss = loss_of(model(inputs[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        mean = torch.tensor([total / steps])
        dist.all_reduce(mean)
        validation = float(loss_of(logits(network, data["validation"]), data["validation"].labels))
        losses = {"train_loss": float(mean) / world, "validation_loss": validation}
        log("epoch", epoch=epoch, **losses, seconds=round(time.monotonic() - began, 2))
        tell(epoch, losses)
    return network


def logits(network: DelayClassifier, data: Data) -> torch.Tensor:
    network.eval()
    with torch.inference_mode():
        return network(data.inputs)


# --- what is kept -----------------------------------------------------------------------------------------


class Run:
    """The MLflow run; only rank 0 has one."""

    def __init__(self, settings: TrainDelay, source: Source) -> None:
        self.mlflow = common.mlflow()
        self.settings = settings
        self.source = source
        self.lineage = {
            "snapshot_id": str(source.flights_snapshot),
            "weather_snapshot_id": str(source.weather_snapshot),
            "table": f"{settings.catalog}.{settings.schema}.flights",
            "data_sha256": source.flights_sha256,
            "code_sha256": common.code_hash(HERE),
            "image": os.environ.get("SEATRIAL_IMAGE", "unknown"),
        }
        with self.calls():
            self.mlflow.set_experiment(settings.experiment)
            self.run = self.mlflow.start_run(tags={**self.lineage, **hardware()})
            self.mlflow.log_params({**asdict(settings), "ranks": dist.get_world_size()})
        self.id: str = self.run.info.run_id

    @contextmanager
    def calls(self) -> Iterator[None]:
        """Failures of the server are reported as that."""
        try:
            yield
        except Exception as error:
            raise WorkloadError(
                f"MLflow at {common.env('MLFLOW_TRACKING_URI')} failed: {type(error).__name__}: {error}"
            ) from error

    def epoch(self, number: int, losses: dict[str, float]) -> None:
        with self.calls():
            self.mlflow.log_metrics(losses, step=number)

    def finish(
        self, network: DelayClassifier, preprocessing: Preprocessing, test: Data, hashes: list[str]
    ) -> dict[str, Any]:
        """Evaluate on the test month, log, register; returns what the termination message says."""
        scores = torch.sigmoid(logits(network, test)).numpy()
        report = evaluation(self.settings, test, scores, hashes)
        with self.calls():
            self.mlflow.log_metrics({f"test_{name}": value for name, value in report["metrics"].items()})
            self.mlflow.log_metrics({f"test_{name}": value for name, value in report["confusion"].items()})
            self.mlflow.log_dict(report, "evaluation.json")
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "predictions.parquet"
                kept = test.rows[[*KEY, "arr_delay"]].assign(late_probability=scores)
                kept.to_parquet(path, index=False)
                self.mlflow.log_artifact(str(path))
                version = self.register(network, preprocessing, test, Path(folder), hashes[0])
            self.mlflow.end_run()
        return {
            "run_id": self.id, "model": self.settings.model, "version": version, **self.lineage,
            "weights_sha256": hashes, **report["metrics"],
        }  # fmt: skip

    def register(
        self, network: DelayClassifier, preprocessing: Preprocessing, test: Data, folder: Path, weights: str
    ) -> str:
        """Log the model as code, weights and JSON, and register it with tags that lead back."""
        files = {name: str(folder / name) for name in ("weights", "preprocessing", "settings")}
        torch.save(network.state_dict(), files["weights"])
        Path(files["preprocessing"]).write_text(preprocessing.to_json())
        Path(files["settings"]).write_text(json.dumps(asdict(self.settings)))
        example = as_declared(test.rows[list(INPUT_COLUMNS)].head(2))
        output = pd.DataFrame({"late_probability": np.zeros(2, dtype=np.float32)})
        info = self.mlflow.pyfunc.log_model(
            name="model",
            python_model=str(HERE / "serving.py"),
            artifacts=files,
            code_paths=[str(HERE.parent)],
            signature=self.mlflow.models.infer_signature(example, output),
            input_example=example,
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", f"pandas=={pd.__version__}"],
            registered_model_name=self.settings.model,
        )
        version = str(info.registered_model_version)
        client = self.mlflow.tracking.MlflowClient()
        for key, value in {**self.lineage, "run_id": self.id, "weights_sha256": weights}.items():
            client.set_model_version_tag(self.settings.model, version, key, value)
        return version

    def fail(self) -> None:
        """Mark the run as failed, if the server still listens."""
        try:
            self.mlflow.end_run("FAILED")
        except Exception as error:
            log("could not mark the run as failed", error=error)


def evaluation(settings: TrainDelay, test: Data, scores: np.ndarray, hashes: list[str]) -> dict[str, Any]:
    """The numbers of the test month, and what is needed to draw them."""
    labels = test.labels.numpy()
    return {
        "test_months": settings.test_months,
        "late_minutes": settings.late_minutes,
        "threshold": settings.threshold,
        "rows": len(labels),
        "metrics": metrics.summary(labels, scores, settings.threshold),
        "confusion": metrics.confusion(labels, scores, settings.threshold),
        "roc": metrics.roc_points(labels, scores),
        "weights_sha256": hashes,
    }


def as_declared(rows: pd.DataFrame) -> pd.DataFrame:
    """The types of the model's signature: what may be missing is a double, other whole numbers are long."""
    whole = {name: "int64" for name in rows.select_dtypes("integer").columns if name != "dep_delay"}
    return rows.astype({**whole, "dep_delay": "float64"})


def hardware() -> dict[str, str]:
    cpu = platform.processor() or platform.machine()
    for line in io.StringIO(Path("/proc/cpuinfo").read_text()):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    return {
        "cpu": cpu,
        "cpus": str(os.cpu_count()),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


# --- all of it --------------------------------------------------------------------------------------------


def work(settings: TrainDelay, snapshot: int | None) -> dict[str, Any]:
    """What each rank does from start to end."""
    common.seed_everything(settings.seed)
    join_ranks()
    rank, began = dist.get_rank(), time.monotonic()
    source: Source = on_rank_0(lambda: locate(settings, snapshot))
    runs: list[Run] = []
    on_rank_0(lambda: runs.append(Run(settings, source)))
    try:
        preprocessing, data = split(settings, read(settings, source))
        log(
            "read",
            rank=rank,
            seconds=round(time.monotonic() - began, 1),
            **{n: len(d.labels) for n, d in data.items()},
        )
        with peers():
            network = train(settings, preprocessing, data, runs[0].epoch if runs else lambda *_: None)
        hashes = gather(weights_hash(network))
        nodes = gather(os.environ.get("NODE_NAME", socket.gethostname()))
        log("weights", rank=rank, sha256=hashes[rank])
        if len(set(hashes)) > 1:
            raise WorkloadError(f"the ranks ended with different weights: {hashes}")
        result = on_rank_0(lambda: runs[0].finish(network, preprocessing, data["test"], hashes))
    except BaseException:
        for run in runs:
            run.fail()
        raise
    dist.destroy_process_group()
    return {**result, "rank": rank, "own_weights_sha256": hashes[rank], "nodes": nodes,
            "seconds": round(time.monotonic() - began, 1)}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", choices=["reference", "tiny"], default="reference")
    parser.add_argument(
        "--snapshot", type=int, help="Iceberg snapshot of the flights (default: the last loaded)"
    )
    arguments = parser.parse_args()
    common.run(lambda: work(getattr(config, arguments.config)(), arguments.snapshot))


if __name__ == "__main__":
    main()
