"""Registered versions of models, and the files that they consist of."""

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from client.errors import ClientError
from client.platform import Platform
from infra import outputs

_ARTIFACTS = "mlflow-artifacts:/"
_PART = 1 << 20
"""Bytes of a file that are in memory at once."""
_ABOUT, _ROWS = "MLmodel", "serving_input_example.json"
EXAMPLE = (_ABOUT, _ROWS)
"""The files of an MLflow model that tell what a request looks like."""
_DATATYPES = {
    "double": "FP64", "float": "FP32", "long": "INT64", "integer": "INT32", "string": "BYTES",
    "boolean": "BOOL",
}  # fmt: skip
"""What the protocol V2 calls MLflow's types of columns."""


@dataclass(frozen=True)
class ModelVersion:
    """A registered version, and its files."""

    model: str
    """Name in MLflow's registry, for example `delay-classifier`."""
    version: str
    uri: str
    """Of the folder with its files: `s3://…`."""
    run_id: str
    digest: str
    """Of the files: `sha256:…` over the list that `sha256sum` prints of those that are not empty."""
    tags: Mapping[str, str] = field(default_factory=dict)


def resolve(platform: Platform, model: str, version: str | int | None = None) -> ModelVersion:
    """The registered version; the newest, when none is named.

    Raises:
        ClientError: the registry has no such version, or its files are not in the platform's object store.
    """
    registry = platform.mlflow()
    known = {str(each.version): each for each in registry.search_model_versions(f"name = '{model}'")}
    if not known:
        raise ClientError(
            f"MLflow has no model '{model}'",
            "train one: seatrial deploy train_delay; or name another with --from",
        )
    wanted = str(version) if version is not None else max(known, key=int)
    if wanted not in known:
        raise ClientError(
            f"model '{model}' has no version {wanted}",
            f"its versions are: {', '.join(sorted(known, key=int))}",
        )
    source = str(registry.get_model_version_download_uri(model, wanted))
    uri = _in_store(source, model, wanted)
    return ModelVersion(
        model, wanted, uri, str(known[wanted].run_id), digest(platform, uri), dict(known[wanted].tags)
    )


def _in_store(source: str, model: str, version: str) -> str:
    if source.startswith(_ARTIFACTS):
        path = source.removeprefix(_ARTIFACTS).lstrip("/")
        return f"s3://{outputs.BUCKET_MLFLOW}/{outputs.FOLDER_ARTIFACTS}/{path}".rstrip("/")
    if source.startswith("s3://"):
        return source.rstrip("/")
    raise ClientError(
        f"version {version} of model '{model}' lies at {source}, which no pod can download",
        "register it from a run of this platform's MLflow",
    )


def digest(platform: Platform, uri: str) -> str:
    """Of the files at `uri`, as the model server computes it of those that it loads.

    Raises:
        ClientError: there are none.
    """
    sums = {name: _sum(body) for name, body in _bodies(platform, uri)}
    lines = [f"{sums[name]}  {name}\n" for name in sorted(sums) if sums[name]]
    if not lines:
        raise ClientError(f"there are no files at {uri}", "register the model again: its artifacts are gone")
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def files(platform: Platform, uri: str, names: Collection[str] = ()) -> Iterator[tuple[str, bytes]]:
    """Name below `uri` and content of each file; of these alone where some are named."""
    for name, body in _bodies(platform, uri, names):
        yield name, body.read()


def _bodies(platform: Platform, uri: str, names: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
    """The same, with contents that are yet to be read: a model may be larger than the memory."""
    store = platform.s3()
    bucket, _, folder = uri.removeprefix("s3://").partition("/")
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{folder}/")
    for page in pages:
        for each in page.get("Contents", ()):
            name = each["Key"].removeprefix(f"{folder}/")
            if not names or name in names:
                yield name, store.get_object(Bucket=bucket, Key=each["Key"])["Body"]


def _sum(body: Any) -> str:
    """The SHA-256 of a file; none of an empty one."""
    sha, size = hashlib.sha256(), 0
    while part := body.read(_PART):
        sha.update(part)
        size += len(part)
    return sha.hexdigest() if size else ""


def example_of(files: Mapping[str, bytes], what: str) -> dict[str, Any]:
    """The body of a V2 request that fits, from the files (`EXAMPLE`) of an MLflow model.

    Raises:
        ClientError: it was logged without an example of columns.
    """
    about = yaml.safe_load(files[_ABOUT])
    columns = json.loads(about.get("signature", {}).get("inputs") or "[]")
    kept = json.loads(files.get(_ROWS, b"{}")).get("dataframe_split")
    if not kept or not all(column.get("type") in _DATATYPES for column in columns):
        raise ClientError(
            f"{what} was registered without an example of columns", "log the model with `input_example=`"
        )
    row = dict(zip(kept["columns"], kept["data"][0], strict=True))
    return {
        "inputs": [
            {
                "name": each["name"],
                "datatype": _DATATYPES[each["type"]],
                "shape": [1],
                "data": [row[each["name"]]],
            }
            for each in columns
            if each["name"] in row
        ]
    }
