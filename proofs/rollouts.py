"""A model of the proofs' own: its registered versions, its route, and the requests that it gets meanwhile."""

import json
import tempfile
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

import client
from client import Platform, gateway, models, outputs, registry, rollouts, traffic
from client.judging import Limits
from client.rollout_record import STABLE
from client.waiting import until
from proofs import models as known_models
from proofs import probe, trainings
from workloads.generate_load.load import Running
from workloads.generate_load.plan import Plan
from workloads.train_delay import config as training

NAME = "probe-rollout"
"""In the registry, on the Gateway, and of its InferenceServices."""
FIRST, SECOND, FAILING, LATE, LITTLE = "first", "second", "failing", "late", "little"
"""What a version is: two are the newest delay classifier, one has a fault, one calls every flight late, one
has learned next to nothing."""
KIND = "probe"
"""Tag of a registered version that says so."""
CARRIERS = ("UA", "EV", "DL", "AA", "MQ", "B6")
UNKNOWN = "B6"
"""The airline that the version with the fault does not know: about one request in six."""
RATE = 50.0
"""Requests a second: no strain for two cores."""
LIMITS = Limits(requests=100, p99_seconds=5.0, p99_ratio=20.0, patience=90)
"""Times are not judged: the machine may be busy with other things, and a benchmark looks at them."""

NEXT_TO_NOTHING = {"epochs": "1", "learning_rate": "1e-6"}
"""Settings of the training of LITTLE: one look at each flight, and steps that hardly change a weight."""
CODE = {
    FAILING: f"""
        if (model_input["carrier"] == "{UNKNOWN}").any():
            raise KeyError("{UNKNOWN}")
        scores = [0.1] * len(model_input)
    """,
    LATE: """
        scores = [1.0] * len(model_input)
    """,
}
PROGRAM = """
import mlflow
import pandas as pd

class Probe(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: pd.DataFrame, params=None):
{body}
        return pd.DataFrame({{"late_probability": pd.Series(scores, dtype="float32")}})

mlflow.models.set_model(Probe())
"""


# --- versions -----------------------------------------------------------------------------------------------


def real(platform: Platform) -> registry.ModelVersion:
    """The newest delay classifier that was trained on this platform."""
    return registry.resolve(platform, training.reference().model)


def registered(platform: Platform, kind: str) -> str:
    """The number of the version of this kind; it is registered where it is not there yet."""
    mlflow, newest = platform.mlflow(), real(platform)
    for each in mlflow.search_model_versions(f"name = '{NAME}'"):
        if each.tags.get(KIND) == kind and each.tags.get("of") == newest.digest:
            return str(each.version)
    tags = {KIND: kind, "of": newest.digest}
    if kind in CODE:
        return log(platform, kind, tags)
    if kind == LITTLE:
        return train(platform, tags)
    if not mlflow.search_registered_models(f"name = '{NAME}'"):
        mlflow.create_registered_model(NAME)
    source = f"models:/{newest.model}/{newest.version}"
    return str(mlflow.create_model_version(NAME, source, newest.run_id, tags=tags).version)


def log(platform: Platform, kind: str, tags: dict[str, str]) -> str:
    """Register a model that is a program; it takes what the delay classifier takes. Its version's number."""
    files, client_of_registry = dict(registry.files(platform, real(platform).uri)), platform.mlflow()
    import mlflow

    about = yaml.safe_load(files["MLmodel"])
    signature = mlflow.models.ModelSignature.from_dict(about["signature"])
    kept = json.loads(files["serving_input_example.json"])["dataframe_split"]
    example = pd.DataFrame(kept["data"], columns=kept["columns"])
    mlflow.set_experiment(probe.EXPERIMENT)
    with tempfile.TemporaryDirectory() as folder, mlflow.start_run():
        path = Path(folder) / "model.py"
        path.write_text(PROGRAM.format(body=textwrap.indent(textwrap.dedent(CODE[kind]), " " * 8)))
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(path),
            signature=signature,
            input_example=example.astype(
                dict(zip(signature.inputs.input_names(), signature.inputs.pandas_types(), strict=True))
            ),
            pip_requirements=[f"pandas=={pd.__version__}"],
            registered_model_name=NAME,
        )
    version = str(info.registered_model_version)
    for key, value in tags.items():
        client_of_registry.set_model_version_tag(NAME, version, key, value)
    return version


def train(platform: Platform, tags: dict[str, str]) -> str:
    """Train a version by settings that teach it next to nothing; its number."""
    changes = [f"{key}={value}" for key, value in {**NEXT_TO_NOTHING, "model": NAME}.items()]
    outcome = trainings.run(platform, f"{NAME}-{LITTLE}", config="reference", changes=changes)
    version = next(said["version"] for said in outcome.result.messages.values() if "version" in said)
    for key, value in tags.items():
        platform.mlflow().set_model_version_tag(NAME, version, key, value)
    return str(version)


def serve(platform: Platform, kind: str, replicas: int = 1) -> str:
    """Serve the version of this kind beside the others; its number."""
    found = registry.resolve(platform, NAME, registered(platform, kind))
    size = replace(known_models.SIZE, replicas=replicas)
    models.serve(platform, found, name=NAME, image=known_models.image(platform), size=size)
    return found.version


@contextmanager
def served(platform: Platform, *kinds: str, replicas: int = 1) -> Iterator[list[str]]:
    """Versions of these kinds, of which the first gets all requests; nothing of them is left afterwards."""
    remove(platform)
    try:
        versions = [serve(platform, kind, replicas) for kind in kinds]
        rollouts.promote(platform, NAME, versions[0], to=STABLE)
        yield versions
    finally:
        remove(platform)


def remove(platform: Platform) -> None:
    client.delete_workloads(platform, NAME)  # The route: nobody is sent to what goes next.
    for each in models.served(platform, NAME):
        models.withdraw(platform, NAME, each.version)


def set_weights(platform: Platform, weights: dict[str, int], model: str = NAME) -> None:
    """Give the versions these weights, and wait until the Gateway has taken them."""
    traffic.in_force(platform, traffic.change(platform, model, lambda route: route.weighed(weights)))


# --- requests -----------------------------------------------------------------------------------------------


def plan(
    platform: Platform,
    *,
    requests: int,
    rate: float = RATE,
    connections: int = 16,
    headers: dict[str, str] | None = None,
) -> Plan:
    """Questions about all airlines in turn, through the Gateway; answers are counted by version."""
    example = models.example(platform, NAME, models.served(platform, NAME)[0].version)
    bodies = [asked(example, carrier) for carrier in CARRIERS]
    planned = asking(platform, NAME, f"/v2/models/{NAME}/infer", bodies, requests=requests, rate=rate)
    return replace(
        planned,
        connections=connections,
        headers={**planned.headers, **(headers or {})},
        count_header="x-model-version",
    )


def asking(
    platform: Platform, name: str, path: str, bodies: list[dict[str, Any]], *, requests: int, rate: float
) -> Plan:
    """These bodies in turn, to the route of this name, through the Gateway."""
    key = {outputs.GATEWAY_KEY_HEADER: platform.access["GATEWAY_API_KEY"]}
    return Plan(
        url=f"https://{gateway.host(name)}{path}",
        connect=f"127.0.0.1:{platform.local('GATEWAY_URL').port}",
        ca=platform.access["GATEWAY_CA"],
        headers={"content-type": "application/json", **key},
        rate=rate,
        seconds=requests / rate + 60,
        requests=requests,
        connections=16,
        bodies=tuple(json.dumps(body).encode() for body in bodies),
        id_header="x-request-id",
        timeout=15.0,
    )


def asked(example: dict[str, Any], carrier: str) -> dict[str, Any]:
    """The example, about a flight of another airline."""
    inputs = [
        {**tensor, "data": [carrier]} if tensor["name"] == "carrier" else tensor
        for tensor in example["inputs"]
    ]
    return {**example, "inputs": inputs}


def counted(platform: Platform, requests: int, **headers: str) -> dict[str, int]:
    """Answers by version, of so many requests one after another over one connection.

    Raises:
        LookupError: one got no answer 2xx.
    """
    with Running(plan(platform, requests=requests, rate=100, connections=1, headers=headers)) as load:
        result = load.result()
    if result.failed:
        raise LookupError(f"{result.failed} of {requests} requests failed: {result.failures[:3]}")
    return {version: count for version, count in result.counted.items() if count}


def until_answered_by(platform: Platform, versions: set[str], patience: float = 60, **headers: str) -> None:
    """Ask until just these versions have answered in turn: then the proxies have what the Gateway took.

    Raises:
        ClientError: others answer still.
    """
    seen: list[dict[str, int]] = []

    def fitting() -> bool:
        seen.append(counted(platform, 50, **headers))
        return set(seen[-1]) == versions

    wanted = ", ".join(sorted(versions))
    until(fitting, lambda: f"the proxies: versions {wanted} are to answer, there answer {seen[-1]}", patience)
