"""A version before it gets traffic, and after it has lost it."""

import time

import httpx

from client import live, models, traffic
from client.errors import ClientError
from client.platform import Platform
from client.progress import Progress
from infra import outputs

REQUESTS = 20
"""That warm a version."""
PATIENCE = 120.0
"""Seconds to wait for Prometheus to count, or for a version without traffic to get no more requests."""
QUIET = 40.0
"""Seconds without a request after which it gets none any more: more than lie between two readings."""
POLL = 2.0


def require_ready(platform: Platform, model: str, version: str) -> None:
    """Whether the version's pods are there, by what KServe says.

    Raises:
        ClientError: it is not served, or not ready.
    """
    found = {entry.version: entry for entry in models.served(platform, model)}
    if version not in found or not found[version].ready:
        state = "is not ready" if version in found else "is not served"
        raise ClientError(
            f"version {version} of {model} {state}",
            f"serve it: seatrial model serve {model} {version}; see: seatrial model status {model}",
        )


def require_answering(platform: Platform, model: str, version: str, progress: Progress) -> None:
    """Ask the version itself, past the Gateway, until it is warm.

    Raises:
        ClientError: it is not served, is not ready, or does not answer as itself.
    """
    require_ready(platform, model, version)
    step = f"{model} version {version} answers"
    progress.begin(step)
    body = models.example(platform, model, version)
    address = platform.address(outputs.NAMESPACE_WORKLOADS, models.predictor(model, version), traffic.PORT)
    with httpx.Client(base_url=f"http://{address}", timeout=30, trust_env=False) as ask:
        for _ in range(REQUESTS):
            _ask(ask, model, version, body)
    progress.end(step, f"{REQUESTS} requests")


def require_counted(platform: Platform, model: str, version: str, before: live.Look) -> None:
    """Wait until Prometheus has counted what warmed the version since `before`.

    Nothing can be judged without its counters, and later those requests would pass for traffic.

    Raises:
        ClientError: it has not after `PATIENCE` seconds.
    """
    until = time.monotonic() + PATIENCE
    while live.since(before, live.look(platform, model), version).requests < REQUESTS:
        if time.monotonic() > until:
            raise ClientError(
                f"Prometheus has not counted the requests that version {version} of {model} answered",
                f"see whether it reads its pods: seatrial open prometheus, series {live.REQUESTS}",
            )
        time.sleep(POLL)


def _ask(ask: httpx.Client, model: str, version: str, body: object) -> None:
    try:
        answer = ask.post(f"/v2/models/{model}/infer", json=body)
    except httpx.HTTPError as error:
        raise _unfit(model, version, f"does not answer: {error}") from error
    if answer.status_code != 200:
        raise _unfit(model, version, f"answers {answer.status_code}: {answer.text[:300]}")
    told = answer.headers.get("x-model-version")
    if told != version:
        raise _unfit(model, version, f"says that it is version {told}")


def _unfit(model: str, version: str, what: str) -> ClientError:
    return ClientError(
        f"version {version} of {model} {what}",
        f"see its log: kubectl -n {outputs.NAMESPACE_WORKLOADS} logs deployment/"
        f"{models.predictor(model, version)}",
    )


def retire(platform: Platform, model: str, versions: list[str], progress: Progress) -> list[str]:
    """Take away those of the versions that no rule names and nobody asks any more; returns which."""
    named = traffic.require(platform, model).named
    there = {entry.version for entry in models.served(platform, model)}
    gone = []
    for version in (each for each in versions if each in there):
        if version in named:
            progress.say(f"    version {version} of {model} stays: a rule of its route names it")
            continue
        step = f"{model} version {version} is taken away"
        progress.begin(step)
        if _drained(platform, model, version):
            models.withdraw(platform, model, version)
            gone.append(version)
            progress.end(step)
        else:
            progress.end(step, f"not: it still gets requests after {PATIENCE:g} s, past the route")
    return gone


def _drained(platform: Platform, model: str, version: str) -> bool:
    """Whether the version has had no request for a while."""
    until = time.monotonic() + PATIENCE
    before, quiet_since = live.look(platform, model), time.monotonic()
    while time.monotonic() < until:
        time.sleep(POLL)
        now = live.look(platform, model)
        if live.since(before, now, version).requests:
            before, quiet_since = now, time.monotonic()
        elif time.monotonic() - quiet_since >= QUIET:
            return True
    return False
