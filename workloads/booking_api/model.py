"""Asks the served model, by the open inference protocol (V2) over HTTP."""

import asyncio
import math
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from workloads.booking_api import metrics
from workloads.common import HopelessError

OUTPUT = "late_probability"
DATATYPES = {str: "BYTES", int: "INT64", float: "FP64"}
"""The protocol's names for types."""
VERSION_HEADER, VARIANT_HEADER, ID_HEADER, KEY_HEADER = (
    "x-model-version", "x-variant", "x-request-id", "x-api-key",
)  # fmt: skip
NOT_NOW = (429, 500, 502, 503, 504)
"""Answers that another attempt may not get."""


class ModelAway(Exception):
    """The model did not answer."""


class ModelUnusable(Exception):
    """What it answered cannot be used."""


@dataclass(frozen=True)
class Answer:
    """The risk that the flight is late, within [0, 1], and the version of the model that says so."""

    score: float
    version: str


@dataclass(frozen=True)
class Place:
    """Which model is asked, and where it is reached."""

    model: str
    """What the protocol calls it."""
    url: str
    """Of the Gateway: `https://…`."""
    host: str
    """By which the Gateway knows the model's route, and which its certificate is verified for."""
    key: str
    """Shown to the Gateway; empty where none is asked for."""
    authority: str
    """The one that signed the Gateway's certificate, in PEM; empty for the public ones."""


class Model:
    """A client that keeps its connections. It never asks twice: retries are the Gateway's, which knows which
    pods there are.
    """

    def __init__(self, place: Place, seconds: float) -> None:
        self.name, self.seconds = place.model, seconds
        self.path = f"{place.url.rstrip('/')}/v2/models/{place.model}/infer"
        self.extensions = {"sni_hostname": place.host}
        self.client = httpx.AsyncClient(
            verify=trusting(place.authority),
            headers={"host": place.host} | ({KEY_HEADER: place.key} if place.key else {}),
            timeout=seconds,
            limits=httpx.Limits(max_connections=100, keepalive_expiry=60),
            trust_env=False,
        )

    async def close(self) -> None:
        await self.client.aclose()

    async def ask(self, features: Mapping[str, Any], request_id: str, variant: str | None) -> Answer:
        """The risk of one flight, whose features are given by the names of the model's signature.

        Raises:
            ModelAway: there was no answer in time, or one that says "not now".
            ModelUnusable: it refused the request, or gave no probability.
        """
        headers = {ID_HEADER: request_id} | ({VARIANT_HEADER: variant} if variant else {})
        began = time.perf_counter()
        try:
            async with asyncio.timeout(self.seconds):
                reply = await self.client.post(
                    self.path,
                    json=question(features, request_id),
                    headers=headers,
                    extensions=self.extensions,
                )
        except (TimeoutError, httpx.TimeoutException) as error:
            raise ModelAway(f"the model {self.name} did not answer within {self.seconds:g} s") from error
        except httpx.HTTPError as error:
            cause = f"{type(error).__name__}: {error}"
            raise ModelAway(f"the model {self.name} did not answer: {cause}") from error
        if reply.status_code != 200:
            said = f"the model {self.name} answered {reply.status_code}: {reply.text[:300]}"
            raise (ModelAway if reply.status_code in NOT_NOW else ModelUnusable)(said)
        answer = read(reply)
        metrics.MODEL_SECONDS.labels(answer.version, variant or "").observe(time.perf_counter() - began)
        return answer


def trusting(authority: str) -> ssl.SSLContext:
    """Trust in what this authority (PEM) has signed, and in nothing else; in the public ones if it is empty.

    Raises:
        HopelessError: it is no certificate.
    """
    try:
        return ssl.create_default_context(cadata=authority or None)
    except ssl.SSLError as error:
        raise HopelessError(f"GATEWAY_CA is no certificate in PEM: {authority[:100]!r}") from error


def question(features: Mapping[str, Any], request_id: str) -> dict[str, Any]:
    """One row: a tensor of one element for each feature."""
    inputs = [
        {"name": name, "datatype": DATATYPES[type(value)], "shape": [1], "data": [value]}
        for name, value in features.items()
    ]
    return {"id": request_id, "inputs": inputs}


def read(reply: httpx.Response) -> Answer:
    """The probability and the version in an answer of the protocol.

    Raises:
        ModelUnusable: they are not there.
    """
    try:
        body = reply.json()
        (output,) = [each for each in body["outputs"] if each["name"] == OUTPUT]
        (score,) = output["data"]
        version = str(reply.headers.get(VERSION_HEADER) or body["model_version"])
    except (ValueError, KeyError, TypeError) as error:
        cause = f"{type(error).__name__}: {error}: {reply.text[:300]}"
        raise ModelUnusable(f"the model's answer has no {OUTPUT} and version: {cause}") from error
    if isinstance(score, bool) or not isinstance(score, int | float) or not math.isfinite(score):
        raise ModelUnusable(f"the model's {OUTPUT} is no number: {score!r}")
    if not 0 <= score <= 1:
        raise ModelUnusable(f"the model's {OUTPUT} is no probability: {score!r}")
    return Answer(float(score), version)
