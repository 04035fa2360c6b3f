"""The model that the proofs of serving put on the platform: the newest version, under a name of its own."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import httpx
import pandas as pd

import workloads
from client import Platform, models, outputs, registry
from client.registry import ModelVersion
from proofs import probe
from proofs.subjects import training
from workloads.ingest_flights import config as ingest
from workloads.train_delay.features import FLIGHT_COLUMNS, INPUT_COLUMNS, KEY, WEATHER_COLUMNS, prepare

NAME, CHANGED = "probe", "probe-changed"
"""What routes would call the model, and the one whose files were changed."""
DAY, ROWS = 3, 200
"""Which flights of the test month are asked for."""
SIZE = models.Size(memory="700Mi")


@dataclass(frozen=True)
class Asked:
    """A served version as those who ask it see it."""

    found: ModelVersion
    http: httpx.Client

    @property
    def service(self) -> str:
        return models.predictor(NAME, self.found.version)

    def v1(self, instances: Any) -> httpx.Response:
        return self.http.post(f"/v1/models/{NAME}:predict", json={"instances": instances})

    def v2(self, body: Any) -> httpx.Response:
        return self.http.post(f"/v2/models/{NAME}/infer", json=body)

    def counted(self, metric: str) -> float:
        """The sum of a counter in the server's own figures."""
        lines = self.http.get("/metrics").text.splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{metric}{{"))


def image(platform: Platform) -> str:
    """Of the model server, built with the workloads that ran last."""
    return workloads.image_of(probe.workload_image(platform), "model-server")


@lru_cache(maxsize=1)
def asked(platform: Platform) -> Asked:
    """The newest version of the reference training, served.

    One that is served already is taken as it is: whether its files are still the registered ones is for a
    proof to say.
    """
    found, runs_in = registry.resolve(platform, training.SETTINGS.model), image(platform)
    held = {(each.version, each.image): each for each in models.served(platform, NAME)}
    kept = held.pop((found.version, runs_in), None)
    for version, _ in held:
        models.withdraw(platform, NAME, version)
    if kept:
        found = replace(found, digest=kept.digest)
    if not (kept and kept.ready):
        models.serve(platform, found, name=NAME, image=runs_in, size=SIZE)
    return Asked(found, client_of(platform, models.predictor(NAME, found.version)))


def client_of(platform: Platform, service: str) -> httpx.Client:
    """Speaks to a Service of a model, by a port-forward."""
    forward = platform.forward(outputs.NAMESPACE_WORKLOADS, service, 80)
    return httpx.Client(base_url=f"http://127.0.0.1:{forward.local_port}", timeout=30, trust_env=False)


def flights(platform: Platform, found: ModelVersion) -> pd.DataFrame:
    """Flights of the test month, of the snapshot that it was trained on, as training prepares them."""
    month = training.SETTINGS.test_months[0]
    tables = {
        "flights": (FLIGHT_COLUMNS, f"month = {month} AND day = {DAY}", "snapshot_id"),
        "weather": (WEATHER_COLUMNS, f"month = {month} AND day = {DAY}", "weather_snapshot_id"),
    }
    frames = {
        table: pd.DataFrame(
            platform.sql(
                f"SELECT {', '.join(columns)} FROM iceberg.{ingest.SCHEMA}.{table} "
                f"FOR VERSION AS OF {found.tags[snapshot]} WHERE {where}"
            ),
            columns=list(columns),
        )
        for table, (columns, where, snapshot) in tables.items()
    }
    return prepare(**frames).head(ROWS)


def instances(rows: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a V1 request; what is missing is null."""
    return [
        {str(name): None if pd.isna(value) else value for name, value in row.items()}
        for row in rows[list(INPUT_COLUMNS)].astype(object).to_dict("records")
    ]


def body(given: list[dict[str, Any]], asked: Asked) -> dict[str, Any]:
    """The same as a V2 request, with the datatypes that the server tells of itself."""
    about = asked.http.get(f"/v2/models/{NAME}").json()
    return {
        "inputs": [
            {**column, "shape": [len(given)], "data": [each[column["name"]] for each in given]}
            for column in about["inputs"]
        ]
    }


def logged(rows: pd.DataFrame, predictions: pd.DataFrame) -> list[float]:
    """What the training logged as its predictions of these flights, in their order."""
    known = predictions.drop_duplicates(KEY).set_index(KEY)["late_probability"]
    return [float(value) for value in known.loc[pd.MultiIndex.from_frame(rows[KEY])]]
